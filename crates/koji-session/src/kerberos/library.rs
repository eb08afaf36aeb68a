//! The few functions of the system's GSSAPI library (RFC 2744; MIT krb5's gssapi_ext.h) that a login needs, loaded when
//! the first one is made: sites that log in otherwise need no such library, and building needs no headers of it.
//!
//! All unsafe code of the Kerberos login is in this file. Used by kerberos/mod.rs.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use super::KerberosError;

/// What the library is called: MIT krb5's on Debian and Fedora.
const NAME: &CStr = c"libgssapi_krb5.so.2";

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct Oid {
    length: u32,
    elements: *const u8,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

#[repr(C)]
struct KeyValueSet {
    count: u32,
    elements: *const KeyValue,
}

type Name = *mut c_void;
type Credential = *mut c_void;
type Context = *mut c_void;

const fn oid(bytes: &'static [u8]) -> Oid {
    Oid { length: bytes.len() as u32, elements: bytes.as_ptr() }
}

/// 1.3.6.1.5.5.2, what HTTP's Negotiate speaks.
const SPNEGO: Oid = oid(b"\x2b\x06\x01\x05\x05\x02");
/// 1.2.840.113554.1.2.2, Kerberos 5 itself.
const KRB5: Oid = oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
/// 1.2.840.113554.1.2.1.4: SERVICE@HOST.
const HOST_BASED_SERVICE: Oid = oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");
/// 1.2.840.113554.1.2.2.1: PRIMARY/INSTANCE@REALM.
const PRINCIPAL: Oid = oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01");

const CONTINUE_NEEDED: u32 = 1;
const ERROR_BITS: u32 = 0xffff_0000;
const MUTUAL_FLAG: u32 = 2;
const INITIATE: c_int = 1;
const GSS_CODE: c_int = 1;
const MECH_CODE: c_int = 2;

type ImportName = unsafe extern "C" fn(*mut u32, *mut Buffer, *const Oid, *mut Name) -> u32;
type ReleaseName = unsafe extern "C" fn(*mut u32, *mut Name) -> u32;
type AcquireCredFrom = unsafe extern "C" fn(
    *mut u32,
    Name,
    u32,
    *const OidSet,
    c_int,
    *const KeyValueSet,
    *mut Credential,
    *mut *mut OidSet,
    *mut u32,
) -> u32;
type ReleaseCred = unsafe extern "C" fn(*mut u32, *mut Credential) -> u32;
type InitSecContext = unsafe extern "C" fn(
    *mut u32,
    Credential,
    *mut Context,
    Name,
    *const Oid,
    u32,
    u32,
    *mut c_void,
    *mut Buffer,
    *mut *mut Oid,
    *mut Buffer,
    *mut u32,
    *mut u32,
) -> u32;
type DeleteSecContext = unsafe extern "C" fn(*mut u32, *mut Context, *mut Buffer) -> u32;
type DisplayStatus = unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32;

/// The functions, as RFC 2744 declares them.
struct Functions {
    import_name: ImportName,
    release_name: ReleaseName,
    acquire_cred_from: AcquireCredFrom,
    release_cred: ReleaseCred,
    init_sec_context: InitSecContext,
    delete_sec_context: DeleteSecContext,
    display_status: DisplayStatus,
    release_buffer: ReleaseBuffer,
}

/// The library, loaded once and kept.
fn functions() -> Result<&'static Functions, KerberosError> {
    static LOADED: OnceLock<Result<Functions, String>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(|problem| KerberosError::Library { problem: problem.clone() })
}

fn load() -> Result<Functions, String> {
    // SAFETY: the name is a C string; the handle is never closed, so that the functions stay valid for the whole process.
    let handle = unsafe { libc::dlopen(NAME.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(load_error());
    }
    macro_rules! function {
        ($name:literal, $kind:ty) => {{
            // SAFETY: the handle is open and the name is a C string.
            let address = unsafe { libc::dlsym(handle, $name.as_ptr()) };
            if address.is_null() {
                return Err(load_error());
            }
            // SAFETY: the library documents the function of this name with this type.
            unsafe { std::mem::transmute::<*mut c_void, $kind>(address) }
        }};
    }
    Ok(Functions {
        import_name: function!(c"gss_import_name", ImportName),
        release_name: function!(c"gss_release_name", ReleaseName),
        acquire_cred_from: function!(c"gss_acquire_cred_from", AcquireCredFrom),
        release_cred: function!(c"gss_release_cred", ReleaseCred),
        init_sec_context: function!(c"gss_init_sec_context", InitSecContext),
        delete_sec_context: function!(c"gss_delete_sec_context", DeleteSecContext),
        display_status: function!(c"gss_display_status", DisplayStatus),
        release_buffer: function!(c"gss_release_buffer", ReleaseBuffer),
    })
}

fn load_error() -> String {
    // SAFETY: dlerror gives null or a C string that stays until the next dl function of this thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: not null, so a C string; it is copied at once.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The client's half of a handshake. Everything it holds at the library is released with it.
pub struct Initiator {
    functions: &'static Functions,
    credential: Credential,
    target: Name,
    context: Context,
}

// SAFETY: GSSAPI objects are not bound to a thread, they only must not be used by two at once; nothing here is shared, and
// every use needs `&mut self`.
unsafe impl Send for Initiator {}

impl Initiator {
    /// Credentials of `principal` out of `store` (pairs of `client_keytab`, `ccache` and a place), for `service` (`HTTP@host`).
    /// Without either the system's defaults are used.
    pub fn new(principal: Option<&str>, store: &[(&CStr, CString)], service: &str) -> Result<Self, KerberosError> {
        let functions = functions()?;
        let mut made = Self { functions, credential: ptr::null_mut(), target: ptr::null_mut(), context: ptr::null_mut() };
        made.target = made.import(service, &HOST_BASED_SERVICE, "read the name of the service")?;
        if principal.is_none() && store.is_empty() {
            return Ok(made);
        }
        let mut name = match principal {
            Some(principal) => made.import(principal, &PRINCIPAL, "read the principal")?,
            None => ptr::null_mut(),
        };
        let pairs: Vec<_> = store.iter().map(|(key, value)| KeyValue { key: key.as_ptr(), value: value.as_ptr() }).collect();
        let set = KeyValueSet { count: pairs.len() as u32, elements: pairs.as_ptr() };
        let acquired = match made.acquire(name, &SPNEGO_STATIC, &set) {
            // SPNEGO says only that no mechanism of its has credentials; Kerberos itself says why.
            Err(error) => made.acquire(name, &KRB5_STATIC, &set).and(Err(error)),
            done => done,
        };
        let mut ignored = 0;
        // SAFETY: `name` is null, which is allowed, or came from the library and is released once.
        unsafe { (functions.release_name)(&raw mut ignored, &raw mut name) };
        acquired?;
        Ok(made)
    }

    fn acquire(&mut self, name: Name, mechanism: &'static Oid, store: &KeyValueSet) -> Result<(), KerberosError> {
        let mechanisms = OidSet { count: 1, elements: mechanism };
        let mut minor = 0;
        // SAFETY: all pointers are to live values of the documented types; null output pointers mean "not wanted".
        let major = unsafe {
            (self.functions.acquire_cred_from)(
                &raw mut minor,
                name,
                u32::MAX,
                &raw const mechanisms,
                INITIATE,
                store,
                &raw mut self.credential,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        self.check(major, minor, mechanism, "get Kerberos credentials")
    }

    /// One step: takes the service's token (none at first), gives the next of ours; empty when the handshake is complete.
    pub fn step(&mut self, token: Option<&[u8]>) -> Result<Vec<u8>, KerberosError> {
        let mut input = buffer(token.unwrap_or_default());
        let mut output = buffer(&[]);
        let mut minor = 0;
        // SAFETY: all pointers are to live values of the documented types; the input is only read; null means "not wanted".
        let major = unsafe {
            (self.functions.init_sec_context)(
                &raw mut minor,
                self.credential,
                &raw mut self.context,
                self.target,
                &raw const SPNEGO_STATIC,
                MUTUAL_FLAG,
                0,
                ptr::null_mut(),
                &raw mut input,
                ptr::null_mut(),
                &raw mut output,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let bytes = self.take(&mut output);
        self.check(major, minor, &SPNEGO_STATIC, "make a Kerberos ticket for the hub")?;
        Ok(bytes)
    }

    fn import(&self, text: &str, kind: &Oid, action: &'static str) -> Result<Name, KerberosError> {
        let mut bytes = buffer(text.as_bytes());
        let (mut name, mut minor) = (ptr::null_mut(), 0);
        // SAFETY: all pointers are to live values of the documented types; the text is copied by the library.
        let major = unsafe { (self.functions.import_name)(&raw mut minor, &raw mut bytes, kind, &raw mut name) };
        self.check(major, minor, &SPNEGO_STATIC, action)?;
        Ok(name)
    }

    fn check(&self, major: u32, minor: u32, mechanism: &'static Oid, action: &'static str) -> Result<(), KerberosError> {
        if major & ERROR_BITS == 0 {
            debug_assert!(major <= CONTINUE_NEEDED);
            return Ok(());
        }
        let texts = [self.text(major, GSS_CODE, mechanism), self.text(minor, MECH_CODE, mechanism)];
        let problem = texts.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(": ");
        Err(KerberosError::Gssapi { action, problem })
    }

    fn text(&self, code: u32, kind: c_int, mechanism: &'static Oid) -> String {
        let mut output = buffer(&[]);
        let (mut minor, mut more) = (0, 0);
        // SAFETY: all pointers are to live values of the documented types. Only the first of several messages is asked for.
        unsafe { (self.functions.display_status)(&raw mut minor, code, kind, mechanism, &raw mut more, &raw mut output) };
        String::from_utf8_lossy(&self.take(&mut output)).trim_matches(['\0', ' ', '\n']).to_owned()
    }

    /// Copies what the library put into a buffer, and gives it back.
    fn take(&self, output: &mut Buffer) -> Vec<u8> {
        let bytes = if output.value.is_null() {
            Vec::new()
        } else {
            // SAFETY: the library says that so many bytes are there, and they stay until the buffer is released below.
            unsafe { std::slice::from_raw_parts(output.value.cast::<u8>(), output.length) }.to_vec()
        };
        let mut minor = 0;
        // SAFETY: the buffer was filled by the library, or is empty, which is allowed; it is released once.
        unsafe { (self.functions.release_buffer)(&raw mut minor, output) };
        bytes
    }
}

impl Drop for Initiator {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: each is null, which is allowed, or came from the library and is released here and nowhere else.
        unsafe {
            (self.functions.delete_sec_context)(&raw mut minor, &raw mut self.context, ptr::null_mut());
            (self.functions.release_cred)(&raw mut minor, &raw mut self.credential);
            (self.functions.release_name)(&raw mut minor, &raw mut self.target);
        }
    }
}

/// The library's buffers are not constant; what they point to here is only read.
fn buffer(bytes: &[u8]) -> Buffer {
    Buffer { length: bytes.len(), value: if bytes.is_empty() { ptr::null_mut() } else { bytes.as_ptr().cast_mut().cast() } }
}

/// At one address for the whole process: the library may keep it.
static SPNEGO_STATIC: Oid = SPNEGO;
static KRB5_STATIC: Oid = KRB5;

// SAFETY: it points to constant bytes.
unsafe impl Sync for Oid {}
