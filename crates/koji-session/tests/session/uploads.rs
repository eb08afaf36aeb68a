//! Uploads: blocks, checksums, damage, lost answers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use build_model::Diagnose as _;
use koji_session::{Adler32, Value};

use crate::fake_hub::{Reply, Request, hub};

const BLOCK: usize = 8 << 20;

/// What the hub answers to a block that arrived whole.
fn stored(block: &[u8]) -> Reply {
    let size = i64::try_from(block.len()).expect("a size");
    Reply::Value(Value::from_pairs([("size", Value::Int(size)), ("hexdigest", Adler32::of(block).hex().into())]))
}

fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x86_64.log");
    std::fs::write(&path, bytes).expect("written");
    (dir, path)
}

fn blocks(requests: &[Request]) -> Vec<(String, usize)> {
    requests.iter().filter(|r| r.method == "rawUpload").map(|r| (r.query["offset"].clone(), r.body.len())).collect()
}

#[tokio::test]
async fn a_file_goes_up_in_verified_blocks() {
    let hub = hub(|request| stored(&request.body));
    let bytes: Vec<u8> = (0..BLOCK * 2 + 3).map(|i| u8::try_from(i % 251).expect("a byte")).collect();
    let (_dir, path) = file(&bytes);
    let heard = Mutex::new(Vec::new());
    let session = hub.login().await;
    let sum = session
        .upload_file(&path, "tasks/1/1", "x86_64.log", &|sent, all| heard.lock().expect("heard").push((sent, all)))
        .await
        .expect("uploaded");
    assert_eq!((sum.size, sum.adler32), (bytes.len() as u64, Adler32::of(&bytes).hex()));
    let requests = hub.requests();
    assert_eq!(blocks(&requests), [("0".into(), BLOCK), (BLOCK.to_string(), BLOCK), ((2 * BLOCK).to_string(), 3)]);
    let whole = bytes.len() as u64;
    assert_eq!(*heard.lock().expect("heard"), [(BLOCK as u64, whole), (2 * BLOCK as u64, whole), (whole, whole)]);
    let first = &requests[1];
    for (name, value) in [("filename", "x86_64.log"), ("filepath", "tasks/1/1"), ("fileverify", "adler32"), ("overwrite", "1")] {
        assert_eq!(first.query[name], value);
    }
    assert_eq!(first.header("content-length"), Some(BLOCK.to_string().as_str()));
    assert_eq!((first.callnum(), requests[3].callnum()), (Some(0), Some(2)));
    assert_eq!(requests.len(), 4, "nothing was repeated, so the whole file is not read again");
}

#[tokio::test]
async fn an_empty_file_is_one_empty_block() {
    let hub = hub(|request| stored(&request.body));
    let (_dir, path) = file(b"");
    let sum = hub.login().await.upload_file(&path, "d", "x", &|_, _| ()).await.expect("uploaded");
    assert_eq!((sum.size, sum.adler32.as_str()), (0, "00000001"));
    assert_eq!(blocks(&hub.requests()), [("0".into(), 0)]);
}

#[tokio::test]
async fn a_block_whose_answer_was_lost_is_sent_again_and_the_file_compared() {
    let hub = hub(|request| match (request.method.as_str(), request.number) {
        ("rawUpload", 2) => Reply::HangUp,
        ("rawUpload", _) => stored(&request.body),
        _ => {
            assert_eq!(request.kwarg("verify"), Some("adler32".into()));
            let bytes = vec![7; BLOCK + 1];
            let size = i64::try_from(bytes.len()).expect("a size");
            Reply::Value(Value::from_pairs([("size", Value::Int(size)), ("hexdigest", Adler32::of(&bytes).hex().into())]))
        }
    });
    let (_dir, path) = file(&vec![7; BLOCK + 1]);
    hub.login().await.upload_file(&path, "d", "x", &|_, _| ()).await.expect("uploaded");
    let requests = hub.requests();
    assert_eq!(blocks(&requests), [("0".into(), BLOCK), (BLOCK.to_string(), 1), (BLOCK.to_string(), 1)]);
    assert_eq!((requests[2].callnum(), requests[3].callnum()), (Some(1), Some(1)));
    assert_eq!(requests[4].method, "checkUpload");
}

#[tokio::test]
async fn a_damaged_block_is_sent_again_but_not_for_ever() {
    let tries = AtomicUsize::new(0);
    let once = hub(move |request| match request.method.as_str() {
        "rawUpload" if tries.fetch_add(1, Ordering::SeqCst) == 0 => stored(b"other bytes"),
        _ => stored(b"abc"),
    });
    let (_dir, path) = file(b"abc");
    once.login().await.upload_file(&path, "d", "x", &|_, _| ()).await.expect("uploaded");
    assert_eq!(blocks(&once.requests()).len(), 2);

    let always = hub(|_| stored(b"other bytes"));
    let error = always.login().await.upload_file(&path, "d", "x", &|_, _| ()).await.expect_err("damaged");
    assert_eq!((error.kind(), blocks(&always.requests()).len()), ("hub-upload-corrupt", 3), "{error}");
}

#[tokio::test]
async fn a_whole_file_that_differs_in_the_end_is_an_error() {
    let hub = hub(|request| match (request.method.as_str(), request.number) {
        ("rawUpload", 1) => Reply::HangUp,
        ("rawUpload", _) => stored(&request.body),
        _ => Reply::Value(Value::from_pairs([("size", Value::Int(3)), ("hexdigest", "00000002".into())])),
    });
    let (_dir, path) = file(b"abc");
    let error = hub.login().await.upload_file(&path, "d", "x", &|_, _| ()).await.expect_err("different");
    assert_eq!(error.kind(), "hub-upload-corrupt");
}

#[tokio::test]
async fn a_refused_upload_ends_at_once() {
    let hub = hub(|_| Reply::Fault(1004, "task is not open"));
    let (_dir, path) = file(b"abc");
    let error = hub.login().await.upload_file(&path, "tasks/1/1", "x", &|_, _| ()).await.expect_err("refused");
    assert_eq!((error.kind(), hub.requests().len()), ("hub-not-allowed", 2));
    let missing = path.with_file_name("none");
    let error = hub.login().await.upload_file(&missing, "d", "x", &|_, _| ()).await.expect_err("no file");
    assert!(error.to_string().contains("none"), "{error}");
}

#[tokio::test]
async fn a_log_grows_at_its_offset() {
    let hub = hub(|request| stored(&request.body));
    let session = hub.login().await;
    session.append_log("tasks/1/1", "build.log", 10, b"more\n").await.expect("written");
    session.append_log("tasks/1/1", "build.log", 15, b"").await.expect("nothing to write");
    session.append_log("tasks/1/1", "build.log", 15, &vec![b'x'; BLOCK + 1]).await.expect("written");
    assert_eq!(blocks(&hub.requests()), [("10".into(), 5), ("15".into(), BLOCK), ((15 + BLOCK).to_string(), 1)]);
}
