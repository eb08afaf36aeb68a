//! Tags that no header holds, or not in this form: rpm makes them of others when they are asked for (its lib/tagexts.c).

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Data;
use crate::header::{Header, HeaderError, decode_base64, tag};

type Made<'a> = Result<Option<Data<'a>>, HeaderError>;

/// The made value of a tag: `Ok(None)` for tags that are simply read, `Ok(Some(None))` for those that cannot be made here.
pub(super) fn get<'a>(header: &'a Header, instance: u64, number: u32) -> Result<Option<Option<Data<'a>>>, HeaderError> {
    let made = match number {
        5000 => file_names(header, [1117, 1118, 1116], false),
        5040 => file_names(header, [1117, 1118, 1116], true),
        5007 => file_names(header, [1120, 1121, 1119], false),
        1195 => Ok(Some(Data::Numbers(vec![instance]))),
        5013 => name(header, "evr"),
        5014 => name(header, "nvr"),
        5015 => name(header, "nevr"),
        1196 => name(header, "nvra"),
        5016 => name(header, "nevra"),
        5098 => Ok(Some(text(arch_suffix(header)?))),
        5019 => Ok(Some(Data::Numbers(vec![header.number(tag::EPOCH)?.unwrap_or(0)]))),
        5018 => Ok(None), // VERBOSE
        5017 => Ok(Some(Data::Numbers(vec![numbers(header, 1140)?.into_iter().fold(0, |all, color| all | color) & 15]))),
        5008 => wide(header, 5008, 1028),
        5009 => wide(header, 5009, 1009),
        270 => wide(header, 270, 257),
        271 => wide(header, 271, 1046),
        5041 => dependencies(header, [1049, 1050, 1048], None),
        5042 => dependencies(header, [1047, 1113, 1112], None),
        5043 => dependencies(header, [1090, 1115, 1114], None),
        5044 => dependencies(header, [1054, 1055, 1053], None),
        // Weak dependencies had other tags before rpm 4.12, with a bit for the stronger kind.
        5058 => either(dependencies(header, [5046, 5047, 5048], None)?, || dependencies(header, OLD_SUGGESTS, Some(true))),
        5059 => either(dependencies(header, [5049, 5050, 5051], None)?, || dependencies(header, OLD_SUGGESTS, Some(false))),
        5060 => either(dependencies(header, [5052, 5053, 5054], None)?, || dependencies(header, OLD_ENHANCES, Some(true))),
        5061 => either(dependencies(header, [5055, 5056, 5057], None)?, || dependencies(header, OLD_ENHANCES, Some(false))),
        1141 => file_class(header, 1141, 1142, &CLASSES),
        5117 => file_class(header, 5115, 5116, &MIME_TYPES),
        5001 => file_dependencies(header, b'P', [1047, 1113, 1112]),
        5002 => file_dependencies(header, b'R', [1049, 1050, 1048]),
        5045 => hard_links(header),
        5005 => trigger_conditions(header, [1066, 1069, 1068, 1067, 1065]),
        5086 => trigger_conditions(header, [5069, 5070, 5072, 5071, 5066]),
        5088 => trigger_conditions(header, [5079, 5080, 5082, 5081, 5076]),
        5006 => trigger_types(header, [1069, 1068, 1065]),
        5087 => trigger_types(header, [5070, 5072, 5066]),
        5089 => trigger_types(header, [5080, 5082, 5076]),
        5109 => system_users(header),
        278 => either(header.data_of(278)?, || old_signatures(header)),
        5114 => either(header.data_of(5114)?, || Ok(Some(Data::Numbers(vec![if header.region().is_some() { 4 } else { 3 }])))),
        _ => return Ok(None),
    };
    made.map(Some)
}

const OLD_SUGGESTS: [u32; 3] = [1156, 1157, 1158];
const OLD_ENHANCES: [u32; 3] = [1159, 1160, 1161];

fn either<'a>(first: Option<Data<'a>>, second: impl FnOnce() -> Made<'a>) -> Made<'a> {
    if first.is_some() { Ok(first) } else { second() }
}

fn text<'a>(bytes: Vec<u8>) -> Data<'a> {
    Data::Strings(vec![Cow::Owned(bytes)])
}

fn numbers(header: &Header, number: u32) -> Result<Vec<u64>, HeaderError> {
    match header.data_of(number)? {
        Some(Data::Numbers(all)) => Ok(all),
        _ => Ok(Vec::new()),
    }
}

fn strings(header: &Header, number: u32) -> Result<Vec<Cow<'_, [u8]>>, HeaderError> {
    match header.data_of(number)? {
        Some(Data::Strings(all) | Data::Translated(all)) => Ok(all),
        _ => Ok(Vec::new()),
    }
}

fn at<T: Copy + Default>(list: &[T], index: usize) -> T {
    list.get(index).copied().unwrap_or_default()
}

fn string_at<'b>(list: &'b [Cow<'_, [u8]>], index: usize) -> &'b [u8] {
    list.get(index).map(AsRef::as_ref).unwrap_or_default()
}

/// Directory and name as one path, for all files, or for those that rpm has put in place.
fn file_names(header: &Header, [names, dirs, indexes]: [u32; 3], installed: bool) -> Made<'_> {
    if !header.has(names) {
        return Ok(None);
    }
    let (names, dirs, indexes) = (strings(header, names)?, strings(header, dirs)?, numbers(header, indexes)?);
    let states = if installed { numbers(header, tag::FILESTATES)? } else { vec![0; names.len()] };
    let fits = indexes.len() == names.len() && !dirs.is_empty() && dirs.len() <= names.len() && states.len() == names.len();
    if !fits {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(names.len());
    for ((name, index), state) in names.iter().zip(indexes).zip(states) {
        if !matches!(state, 0 | 3) {
            continue;
        }
        let Some(dir) = usize::try_from(index).ok().and_then(|index| dirs.get(index)) else { return Ok(None) };
        all.push(Cow::Owned([dir.as_ref(), name.as_ref()].concat()));
    }
    Ok(Some(Data::Strings(all)))
}

/// Name, epoch, version, release and architecture, those that `parts` names.
fn name<'a>(header: &Header, parts: &str) -> Made<'a> {
    let mut out = String::new();
    let get = |number| header.string(number).map(Option::unwrap_or_default);
    for part in parts.chars() {
        match part {
            'n' if header.has(tag::NAME) => out.push_str(&(get(tag::NAME)? + "-")),
            'e' => {
                if let Some(epoch) = header.number(tag::EPOCH)? {
                    out.push_str(&format!("{epoch}:"));
                }
            }
            'v' if header.has(tag::VERSION) => out.push_str(&(get(tag::VERSION)? + "-")),
            'r' => out.push_str(&get(tag::RELEASE)?),
            'a' if header.has(tag::ARCH) => out.push_str(&format!(".{}", get(tag::ARCH)?)),
            'a' if !header.has(tag::SOURCERPM) => out.push_str(".src"),
            _ => {}
        }
    }
    Ok(Some(text(out.into_bytes())))
}

fn arch_suffix(header: &Header) -> Result<Vec<u8>, HeaderError> {
    let arch = if header.has(tag::SOURCERPM) {
        header.string(tag::ARCH)?
    } else if header.has(1051) || header.has(1052) {
        Some("nosrc".to_owned())
    } else {
        Some("src".to_owned())
    };
    Ok(arch.map(|arch| format!(".{arch}")).unwrap_or_default().into_bytes())
}

/// A 64-bit tag, or the 32-bit one that holds the same.
fn wide(header: &Header, long: u32, short: u32) -> Made<'_> {
    Ok(match header.data_of(long)? {
        Some(data) => Some(data),
        None => header.data_of(short)?.filter(|data| matches!(data, Data::Numbers(_))),
    })
}

/// `name`, `name >= 1:2-3`.
fn dependency(name: &[u8], flags: u64, version: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    if flags & 15 != 0 {
        out.push(b' ');
        for (bit, sign) in [(1 << 1, b'<'), (1 << 2, b'>'), (1 << 3, b'=')] {
            if flags & bit != 0 {
                out.push(sign);
            }
        }
    }
    if !version.is_empty() {
        out.push(b' ');
        out.extend_from_slice(version);
    }
    out
}

/// Names, versions and flags as one text each. `strong` picks one of two kinds that share their tags.
fn dependencies(header: &Header, [names, versions, flags]: [u32; 3], strong: Option<bool>) -> Made<'_> {
    const STRONG: u64 = 1 << 27;
    let (names, versions, flags) = (strings(header, names)?, strings(header, versions)?, numbers(header, flags)?);
    let chosen = |i: usize| strong.is_none_or(|strong| (at(&flags, i) & STRONG != 0) == strong);
    let all: Vec<Cow<'_, [u8]>> = (0..names.len())
        .filter(|i| chosen(*i))
        .map(|i| Cow::Owned(dependency(string_at(&names, i), at(&flags, i), string_at(&versions, i))))
        .collect();
    Ok((!all.is_empty()).then_some(Data::Strings(all)))
}

/// What a file is when its content does not say: block device, character device, directory, pipe, socket, link.
type Kinds = [&'static str; 6];
const CLASSES: Kinds = ["block special", "character special", "directory", "fifo (named pipe)", "socket", "symbolic link to `"];
const MIME_TYPES: Kinds =
    ["inode/blockdevice", "inode/chardevice", "inode/directory", "inode/fifo", "inode/socket", "inode/symlink"];

fn file_class<'a>(header: &'a Header, indexes: u32, words: u32, kinds: &Kinds) -> Made<'a> {
    let (indexes, words) = (numbers(header, indexes)?, strings(header, words)?);
    let (modes, links) = (numbers(header, tag::FILEMODES)?, strings(header, tag::FILELINKTOS)?);
    let count = strings(header, tag::BASENAMES)?.len();
    let [block, character, directory, pipe, socket, link] = *kinds;
    let of = |i: usize| -> Vec<u8> {
        let word = indexes.get(i).and_then(|index| usize::try_from(*index).ok()).map(|index| string_at(&words, index));
        match (word.unwrap_or_default(), at(&modes, i) & 0o170_000) {
            (word, _) if !word.is_empty() => word.to_vec(),
            (_, 0o060_000) => block.into(),
            (_, 0o020_000) => character.into(),
            (_, 0o040_000) => directory.into(),
            (_, 0o010_000) => pipe.into(),
            (_, 0o140_000) => socket.into(),
            (_, 0o120_000) if link.ends_with('`') => [link.as_bytes(), string_at(&links, i), b"'"].concat(),
            (_, 0o120_000) => link.into(),
            _ => Vec::new(),
        }
    };
    Ok((count > 0).then(|| Data::Strings((0..count).map(|i| Cow::Owned(of(i))).collect())))
}

/// What a single file provides or requires: `FILEDEPENDSX` and `N` cut pieces out of a dictionary of dependencies.
fn file_dependencies(header: &Header, kind: u8, [names, versions, flags]: [u32; 3]) -> Made<'_> {
    let count = strings(header, tag::BASENAMES)?.len();
    let (first, lengths, dictionary) = (numbers(header, 1143)?, numbers(header, 1144)?, numbers(header, 1145)?);
    let (names, versions, flags) = (strings(header, names)?, strings(header, versions)?, numbers(header, flags)?);
    let of = |i: usize| -> Vec<u8> {
        let start = usize::try_from(at(&first, i)).unwrap_or(usize::MAX);
        let length = usize::try_from(at(&lengths, i)).unwrap_or_default();
        let piece = start.checked_add(length).and_then(|end| dictionary.get(start..end)).unwrap_or_default();
        let mine = piece.iter().filter(|entry| **entry >> 24 & 0xff == u64::from(kind));
        let all: Vec<Vec<u8>> = mine
            .filter_map(|entry| usize::try_from(entry & 0x00ff_ffff).ok())
            .filter(|i| *i < names.len())
            .map(|i| dependency(string_at(&names, i), at(&flags, i), string_at(&versions, i)))
            .collect();
        all.join(&b' ')
    };
    Ok((count > 0).then(|| Data::Strings((0..count).map(|i| Cow::Owned(of(i))).collect())))
}

/// How many names a file has within its package.
fn hard_links(header: &Header) -> Made<'_> {
    let (inodes, modes) = (numbers(header, 1096)?, numbers(header, tag::FILEMODES)?);
    let (devices, flags) = (numbers(header, 1095)?, numbers(header, tag::FILEFLAGS)?);
    let count = strings(header, tag::BASENAMES)?.len();
    let is_file = |i: usize| at(&modes, i) & 0o170_000 == 0o100_000 && at(&flags, i) & 1 << 6 == 0;
    let mut names: HashMap<(u64, u64), u64> = HashMap::new();
    for i in (0..count).filter(|i| is_file(*i)) {
        *names.entry((at(&devices, i), at(&inodes, i))).or_default() += 1;
    }
    let of = |i: usize| if is_file(i) { names.get(&(at(&devices, i), at(&inodes, i))).copied().unwrap_or(1) } else { 1 };
    Ok((count > 0).then(|| Data::Numbers((0..count).map(of).collect())))
}

/// For each trigger script what triggers it.
fn trigger_conditions(header: &Header, [names, indexes, flags, versions, scripts]: [u32; 5]) -> Made<'_> {
    if !header.has(names) {
        return Ok(None);
    }
    let (names, versions, scripts) = (strings(header, names)?, strings(header, versions)?, strings(header, scripts)?);
    let (indexes, flags) = (numbers(header, indexes)?, numbers(header, flags)?);
    let mut all: Vec<Vec<Vec<u8>>> = vec![Vec::new(); scripts.len()];
    for (i, index) in indexes.iter().enumerate() {
        let Some(list) = usize::try_from(*index).ok().and_then(|index| all.get_mut(index)) else { continue };
        let version = if at(&flags, i) & 15 == 0 { b"" } else { string_at(&versions, i) };
        list.push(dependency(string_at(&names, i), at(&flags, i), version));
    }
    Ok(Some(Data::Strings(all.into_iter().map(|list| Cow::Owned(list.join(&b", "[..]))).collect())))
}

fn trigger_types(header: &Header, [indexes, flags, scripts]: [u32; 3]) -> Made<'_> {
    if !header.has(indexes) {
        return Ok(None);
    }
    let (indexes, flags) = (numbers(header, indexes)?, numbers(header, flags)?);
    let of = |script: usize| -> &'static str {
        let first = indexes.iter().position(|index| usize::try_from(*index) == Ok(script));
        let flags = first.map(|i| at(&flags, i)).unwrap_or_default();
        let kinds = [(1 << 25, "prein"), (1 << 16, "in"), (1 << 17, "un"), (1 << 18, "postun")];
        kinds.iter().find(|(bit, _)| flags & bit != 0).map(|(_, word)| *word).unwrap_or_default()
    };
    let count = strings(header, scripts)?.len();
    Ok(Some(Data::Strings((0..count).map(|script| Cow::Borrowed(of(script).as_bytes())).collect())))
}

/// rpm 6 keeps lines for sysusers.d as base64 in the versions of `user(…)` and `group(…)` provides.
fn system_users(header: &Header) -> Made<'_> {
    let (names, versions, flags) = (strings(header, 1047)?, strings(header, 1113)?, numbers(header, 1112)?);
    let mut lines = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let is_one = ["user(", "group(", "groupmember("].iter().any(|kind| name.starts_with(kind.as_bytes()));
        if is_one
            && at(&flags, i) & 8 != 0
            && let Some(line) = decode_base64(string_at(&versions, i))
        {
            lines.push(Cow::Owned(line.into_iter().take_while(|b| *b != 0).collect()));
        }
    }
    Ok((!lines.is_empty()).then_some(Data::Strings(lines)))
}

/// The signatures of packages before rpm 6, in rpm 6's form.
fn old_signatures(header: &Header) -> Made<'_> {
    let mut all = Vec::new();
    for number in [tag::RSAHEADER, tag::DSAHEADER, tag::SIGPGP, tag::SIGGPG] {
        if let Some(Data::Binary(bytes)) = header.data_of(number)? {
            all.push(Cow::Owned(STANDARD.encode(bytes).into_bytes()));
        }
    }
    Ok((!all.is_empty()).then_some(Data::Strings(all)))
}
