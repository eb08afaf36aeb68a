//! Tag and type numbers of RPM headers (rpm's include/rpm/rpmtag.h). Only those read here.

/// Region of the main header: everything the package was built with.
pub const HEADER_IMMUTABLE: u32 = 63;
/// Region of the signature header.
pub const HEADER_SIGNATURES: u32 = 62;

pub const SIGPGP: u32 = 259;
pub const SIGMD5: u32 = 261;
pub const SIGGPG: u32 = 262;
pub const DSAHEADER: u32 = 267;
pub const RSAHEADER: u32 = 268;
pub const SHA1HEADER: u32 = 269;
pub const SHA256HEADER: u32 = 273;
/// rpm 6: base64 OpenPGP signatures of the header.
pub const OPENPGP: u32 = 278;
/// rpm 6.
pub const SHA3_256HEADER: u32 = 279;

/// Signature header numbers of what the rpmdb calls SIGMD5, SIGPGP and SIGGPG.
pub const SIGTAG_PGP: u32 = 1002;
pub const SIGTAG_MD5: u32 = 1004;
pub const SIGTAG_GPG: u32 = 1005;

pub const NAME: u32 = 1000;
pub const VERSION: u32 = 1001;
pub const RELEASE: u32 = 1002;
pub const EPOCH: u32 = 1003;
pub const BUILDTIME: u32 = 1006;
pub const SIZE: u32 = 1009;
pub const VENDOR: u32 = 1011;
pub const ARCH: u32 = 1022;
pub const OLDFILENAMES: u32 = 1027;
pub const FILESIZES: u32 = 1028;
/// Written by rpm when it installs; the only file tag outside the immutable region.
pub const FILESTATES: u32 = 1029;
pub const FILEMODES: u32 = 1030;
pub const FILEDIGESTS: u32 = 1035;
pub const FILELINKTOS: u32 = 1036;
pub const FILEFLAGS: u32 = 1037;
pub const FILEUSERNAME: u32 = 1039;
pub const FILEGROUPNAME: u32 = 1040;
pub const SOURCERPM: u32 = 1044;
pub const FILEVERIFYFLAGS: u32 = 1045;
pub const PROVIDENAME: u32 = 1047;
pub const REQUIRENAME: u32 = 1049;
/// Only source packages carry it.
pub const SOURCEPACKAGE: u32 = 1106;
pub const DIRINDEXES: u32 = 1116;
pub const BASENAMES: u32 = 1117;
pub const DIRNAMES: u32 = 1118;
pub const LONGFILESIZES: u32 = 5008;
pub const LONGSIZE: u32 = 5009;
pub const FILECAPS: u32 = 5010;
pub const FILEDIGESTALGO: u32 = 5011;
pub const RECOMMENDNAME: u32 = 5046;
pub const SUGGESTNAME: u32 = 5049;
pub const SUPPLEMENTNAME: u32 = 5052;
pub const PAYLOADDIGEST: u32 = 5092;
pub const PAYLOADDIGESTALGO: u32 = 5093;
/// rpm 6: further digests of the compressed payload.
pub const PAYLOADSHA512: u32 = 5121;
pub const PAYLOADSHA3_256: u32 = 5123;
pub const MODULARITYLABEL: u32 = 5096;

/// %pre, %post, %preun, %postun, %pretrans, %posttrans and the interpreters of the first four.
pub const SCRIPTLETS: [u32; 10] = [1023, 1024, 1025, 1026, 1085, 1086, 1087, 1088, 1151, 1152];

/// What the package *is*: an entry outside the immutable region must not speak for any of these.
pub const IDENTITY: [u32; 14] = [
    NAME,
    VERSION,
    RELEASE,
    EPOCH,
    BUILDTIME,
    SIZE,
    VENDOR,
    ARCH,
    OLDFILENAMES,
    SOURCERPM,
    SOURCEPACKAGE,
    LONGSIZE,
    PAYLOADDIGEST,
    MODULARITYLABEL,
];

pub const TYPE_CHAR: u32 = 1;
pub const TYPE_INT8: u32 = 2;
pub const TYPE_INT16: u32 = 3;
pub const TYPE_INT32: u32 = 4;
pub const TYPE_INT64: u32 = 5;
pub const TYPE_STRING: u32 = 6;
pub const TYPE_BIN: u32 = 7;
pub const TYPE_STRING_ARRAY: u32 = 8;
pub const TYPE_I18NSTRING: u32 = 9;
