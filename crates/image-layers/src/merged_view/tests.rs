//! Stacks of two and three layers, as overlayfs would show them.

use super::*;
use crate::testing::{is_root, store, tar_of, unpack_plain};

/// Unpacks layers, bottom first; the view of them.
fn view(store: &crate::Store, layers: &[&[&str]]) -> MergedView {
    let mut dirs = Vec::new();
    let mut parent = None;
    for lines in layers {
        let layer = unpack_plain(store, &tar_of(lines), parent.as_ref()).expect("unpacked");
        dirs.insert(0, layer.dir.clone());
        parent = Some(layer);
    }
    MergedView::new(dirs)
}

#[test]
fn upper_layers_replace_hide_and_merge() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let view = view(
        &store,
        &[
            &[
                "d etc",
                "f etc/a 1",
                "f etc/b 1",
                "d gone",
                "f gone/x 1",
                "d opaque",
                "f opaque/old 1",
                "d was-dir",
                "f was-file 1",
            ],
            &[
                "f etc/a 2",
                "f .wh.gone ",
                "d opaque",
                "f opaque/.wh..wh..opq ",
                "f opaque/new 2",
                "f was-dir 2",
                "d was-file",
                "f was-file/x 2",
            ],
            &["f etc/c 3", "f etc/.wh.b "],
        ],
    );
    assert_eq!(view.list("/").expect("listed"), ["etc", "opaque", "was-dir", "was-file"]);
    assert_eq!(view.list("/etc").expect("listed"), ["a", "c"]);
    assert_eq!(view.list("opaque/").expect("listed"), ["new"]);
    assert_eq!(view.read("/etc/a", 10).expect("read"), Some(b"2".to_vec()));
    assert_eq!(view.read("/etc/b", 10).expect("read"), None);
    assert_eq!(view.lookup("/gone/x"), None);
    assert_eq!(view.lookup("/opaque/old"), None);
    assert_eq!(view.read("was-dir", 10).expect("read"), Some(b"2".to_vec()));
    assert_eq!(view.list("was-file").expect("listed"), ["x"]);
    assert_eq!(view.lookup("/etc/a/below-a-file"), None);
    assert_eq!(view.list("/gone").expect_err("gone").kind(), io::ErrorKind::NotFound);
    assert_eq!(view.list("/etc/a").expect_err("a file").kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn symbolic_links_are_resolved_inside_the_image_across_layers() {
    let (_dir, store) = store();
    let view = view(
        &store,
        &[
            &[
                "d usr/lib/sysimage/rpm",
                "f usr/lib/sysimage/rpm/db 1",
                "l var/lib/rpm ../../usr/lib/sysimage/rpm",
                "l lib usr/lib",
            ],
            &[
                "l etc/passwd ../../../../../../etc/passwd.real",
                "f etc/passwd.real inside",
                "l abs /lib/sysimage",
                "l loop loop",
                "l out /etc/shadow",
            ],
        ],
    );
    assert_eq!(view.read("/var/lib/rpm/db", 10).expect("read"), Some(b"1".to_vec()));
    assert_eq!(view.read("abs/rpm/../rpm/./db", 10).expect("read"), Some(b"1".to_vec()));
    assert_eq!(view.read("/../../etc/passwd", 10).expect("read"), Some(b"inside".to_vec()));
    assert_eq!(view.read("out", 1000).expect("read"), None, "the image has no /etc/shadow");
    assert!(view.metadata("loop").is_err() && view.lookup("loop").is_none());
    assert!(view.symlink_metadata("loop").expect("the link").is_some_and(|m| m.is_symlink()));
    assert_eq!(view.list("/var/lib/rpm").expect("listed"), ["db"]);
}

#[test]
fn reading_is_bounded_and_only_for_files() {
    let (_dir, store) = store();
    let view = view(&store, &[&["f a 12345", "p pipe", "d d"]]);
    assert_eq!(view.read("a", 5).expect("read"), Some(b"12345".to_vec()));
    assert_eq!(view.read("a", 4).expect_err("too large").kind(), io::ErrorKind::InvalidData);
    assert_eq!(view.read("pipe", 4).expect_err("a pipe").kind(), io::ErrorKind::InvalidInput);
    assert_eq!(view.read("d", 4).expect_err("a directory").kind(), io::ErrorKind::IsADirectory);
    assert_eq!(MergedView::new(Vec::new()).list("/").expect("empty"), Vec::<String>::new());
}

#[test]
fn the_kernels_overlay_shows_the_same_tree() {
    if !is_root() {
        return;
    }
    let (dir, store) = store();
    let view = view(
        &store,
        &[
            &["d a", "f a/1 x", "d a/deep", "f a/deep/2 x", "d b", "f b/old x", "l link a/deep", "f c x", "d d", "f d/1 x"],
            &["f a/.wh.1 ", "d b", "f b/.wh..wh..opq ", "f b/new y", "f .wh.c ", "f .wh.d ", "d e", "f a/deep/3 y"],
            &["d c", "f c/now-a-directory z", "d d", "f d/2 z", "f .wh.e ", "f a/deep z"],
        ],
    );
    let lowers: Vec<String> = view.root.dirs.iter().map(|d| d.display().to_string()).collect();
    let script = format!(
        "mkdir mnt; mount -t overlay overlay -o lowerdir={} mnt; find mnt -mindepth 1 -printf '/%P\\n' | sort > seen",
        lowers.join(":")
    );
    crate::testing::shell(dir.path(), &script);
    let seen = fs::read_to_string(dir.path().join("seen")).expect("a list");
    let mut expected: Vec<String> = seen.lines().map(str::to_owned).collect();
    expected.sort();
    let mut ours: Vec<String> =
        crate::testing::merged_listing(&view).iter().map(|line| line.split(' ').next().unwrap_or("").to_owned()).collect();
    ours.sort();
    assert_eq!(ours, expected);
    assert!(ours.contains(&"/c/now-a-directory".to_owned()) && !ours.contains(&"/d/1".to_owned()), "{ours:?}");
}
