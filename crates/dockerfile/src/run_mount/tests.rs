//! Each type, each option, each mistake.

use build_model::Diagnose;

use super::*;

fn resolve(text: &str) -> Result<Mount, MountError> {
    RunMount::parse(text, '\\', Span::default())?.resolve('\\', &|name| (name == "DIR").then(|| "/d".to_owned()))
}

#[test]
fn each_type_has_its_defaults() {
    let bind = resolve("target=/x,from=build,source=a").expect("bind");
    assert_eq!((bind.kind, bind.read_only, bind.from.as_deref()), (MountKind::Bind, true, Some("build")));
    let cache = resolve("type=cache,dst=/c,sharing=locked,uid=5,mode=0755").expect("cache");
    assert_eq!((cache.read_only, cache.sharing, cache.uid, cache.mode), (false, CacheSharing::Locked, Some(5), Some(0o755)));
    let tmpfs = resolve("size=64m,type=tmpfs,target=/t").expect("tmpfs");
    assert_eq!(tmpfs.size, Some(64 << 20));
    assert_eq!(resolve("from=x").expect("bind").target.as_deref(), Some("."), "over WORKDIR");
    assert_eq!(resolve("type=secret,target=/a/b").expect("secret").id.as_deref(), Some("b"));
    let secret = resolve("type=secret,src=token,required").expect("secret");
    assert_eq!((secret.id.as_deref(), secret.target, secret.required), (Some("token"), None, true));
}

#[test]
fn variables_are_expanded_later_and_not_in_from() {
    assert_eq!(resolve("type=cache,target=$DIR/x").expect("mount").target.as_deref(), Some("/d/x"));
    assert!(matches!(resolve("from=$X,target=/a"), Err(MountError::VariableInFrom { .. })));
    assert_eq!(resolve("type=cache,target=$NO").expect("mount").target.as_deref(), Some("."));
}

#[test]
fn quoted_fields_may_hold_commas() {
    assert_eq!(resolve("type=bind,\"source=a,b\",target=/x").expect("mount").source.as_deref(), Some("a,b"));
    for bad in ["\"a", "target=/x,\"b\"c", "a\"b\""] {
        assert!(matches!(resolve(bad), Err(MountError::Quote { .. })), "{bad}");
    }
}

#[test]
fn wrong_fields_are_named_with_the_nearest_right_one() {
    for (text, message, hint) in [
        ("typ=bind", "a mount has no option `typ`", Some("did you mean `type`?")),
        ("type=chache,target=/x", "`chache` is not a value", Some("did you mean `cache`?")),
        ("type=cache,target=/x,sharing=lock", "`lock` is not a value", Some("did you mean `locked`?")),
        ("type=tmp,target=/x", "`tmp` is not a value", Some("did you mean `tmpfs`?")),
        ("type=t,target=/x", "`t` is not a value", None),
        ("target", "the mount option `target` needs a value", None),
        ("type=tmpfs,target=/x,uid=1", "`uid` does not apply to a mount of type tmpfs", None),
        ("target=/x,size=1", "`size` does not apply to a mount of type bind", None),
        ("type=secret", "a mount of type secret needs `id=…`", None),
        ("type=secret,id=a,source=b", "not by both", None),
        ("target=/x,ro=maybe", "it is true or false", None),
        ("type=cache,target=/x,mode=99", "octal", None),
        ("", "a mount has no option ``", None),
    ] {
        let err = resolve(text).expect_err(text);
        assert!(err.to_string().contains(message), "{text}: {err}");
        assert_eq!(err.hint().as_deref(), hint, "{text}");
    }
}

#[test]
fn sizes_have_binary_suffixes() {
    for (text, bytes) in [("1", 1), ("1k", 1024), ("1.5kb", 1536), ("2GiB", 2 << 30), ("3 m", 3 << 20)] {
        assert_eq!(mount::parse_size(text), Some(bytes), "{text}");
    }
    for text in ["", "x", "1x", "99999999999t", "1..2", "-1"] {
        assert_eq!(mount::parse_size(text), None, "{text}");
    }
}
