"""Uploads: chunks, checks, who may write where, and how task output is read back."""

import base64
import hashlib
import zlib

import koji
import pytest
import requests


def post(hub, session, data, name="file", directory="dir", **options):
    """One raw upload request, as the protocol has it; the decoded answer."""
    query = {"filename": name, "filepath": directory, "fileverify": "adler32", "offset": "0", **options}
    headers = {
        "Content-Type": "application/octet-stream",
        "Koji-Session-Id": str(session.sinfo["session-id"]),
        "Koji-Session-Key": session.sinfo["session-key"],
    }
    answer = requests.post(hub.plain_url, params=query, data=data, headers=headers, timeout=30)
    return koji.xmlrpcplus.loads(answer.content)[0][0]


def adler32(data):
    return f"{zlib.adler32(data):08x}"


def test_a_file_arrives_whole_and_can_be_checked(scene, packager, tmp_path):
    path = tmp_path / "data.bin"
    content = bytes(range(256)) * 9000
    path.write_bytes(content)
    directory = f"cli-build/{scene.name('upload')}"
    packager.uploadWrapper(str(path), directory)
    known = packager.checkUpload(directory, "data.bin", "sha256")
    assert (known["size"], known["sumlength"]) == (len(content), len(content))
    assert known["hexdigest"] == hashlib.sha256(content).hexdigest()
    assert packager.checkUpload(directory, "data.bin", "md5", 10)["hexdigest"] == hashlib.md5(content[-10:]).hexdigest()
    assert packager.checkUpload(directory, "other.bin") is None


def test_chunks_answer_with_size_offset_and_padded_digest(hub, scene, packager):
    directory = scene.name("upload")
    assert post(hub, packager, b"", directory=directory) == {
        "size": 0,
        "fileverify": "adler32",
        "offset": 0,
        "hexdigest": "00000001",
    }
    assert post(hub, packager, b"abc", directory=directory, overwrite="1")["hexdigest"] == adler32(b"abc")
    assert post(hub, packager, b"de", directory=directory, offset="3")["offset"] == 3
    # -1 appends
    assert post(hub, packager, b"f", directory=directory, offset="-1")["offset"] == 5
    assert packager.checkUpload(directory, "file", "adler32")["hexdigest"] == adler32(b"abcdef")
    # overwrite cuts the file at the offset
    post(hub, packager, b"X", directory=directory, offset="1", overwrite="1")
    assert packager.checkUpload(directory, "file")["size"] == 2


def test_bad_uploads_are_faults(hub, scene, packager):
    directory = scene.name("upload")
    post(hub, packager, b"abc", directory=directory)
    for options, code in [
        ({}, 1000),  # it exists, and overwrite was not said
        ({"name": "a/b"}, 1000),
        ({"name": ".user"}, 1000),
        ({"directory": "../out"}, 1000),
        ({"fileverify": "crc32", "name": "new"}, 1000),
        ({"offset": "1"}, 1000),  # would leave the old end behind
    ]:
        with pytest.raises(koji.xmlrpcplus.Fault) as refused:
            post(hub, packager, b"x", **{"directory": directory, **options})
        assert refused.value.faultCode == code, options


def test_a_directory_belongs_to_its_first_uploader(hub, scene, packager):
    directory = scene.name("upload")
    post(hub, packager, b"abc", directory=directory)
    with pytest.raises(koji.xmlrpcplus.Fault, match="not owner"):
        post(hub, scene.session("other"), b"abc", name="new", directory=directory)


def test_an_anonymous_caller_uploads_nothing(hub, scene):
    session = hub.anonymous()
    session.sinfo = {"session-id": 1, "session-key": "x"}
    with pytest.raises(koji.xmlrpcplus.Fault) as refused:
        post(hub, session, b"abc", directory=scene.name("upload"))
    assert refused.value.faultCode == 1002


def test_a_task_directory_is_for_the_host_that_has_the_task_open(hub, scene, admin, packager):
    host = scene.host()
    task_id = scene.task(host.channel)
    directory = koji.pathinfo.taskrelpath(task_id)
    for session in (host.session, packager):
        with pytest.raises(koji.xmlrpcplus.Fault) as refused:
            post(hub, session, b"line\n", name="x86_64.log", directory=directory)
        assert refused.value.faultCode in (1002, 1004)
    host.take(task_id)
    job = host.session.subsession()
    post(hub, job, b"line 1\n", name="x86_64.log", directory=directory, overwrite="1")
    post(hub, job, b"line 2\n", name="x86_64.log", directory=directory, offset="7", overwrite="1")
    admin.cancelTask(task_id)
    with pytest.raises(koji.xmlrpcplus.Fault) as refused:
        post(hub, job, b"line 3\n", name="x86_64.log", directory=directory, offset="14", overwrite="1")
    assert refused.value.faultCode == 1004


def test_task_output_is_listed_read_in_parts_and_served(hub, scene, packager):
    host = scene.host()
    task_id = scene.task(host.channel)
    host.take(task_id)
    directory = koji.pathinfo.taskrelpath(task_id)
    assert packager.listTaskOutput(task_id) == []
    post(hub, host.session, b"line 1\nline 2\n", name="x86_64.log", directory=directory)
    post(hub, host.session, b"{}", name="report.json", directory=f"{directory}/sub")
    assert sorted(packager.listTaskOutput(task_id)) == ["sub/report.json", "x86_64.log"]
    stat = packager.listTaskOutput(task_id, stat=True)["x86_64.log"]
    assert stat["st_size"] == "14" and stat["st_mtime"] > 0
    assert packager.listTaskOutput(task_id, all_volumes=True)["x86_64.log"] == ["DEFAULT"]
    part = packager.callMethod("downloadTaskOutput", task_id, "x86_64.log", 7, 6)
    assert base64.b64decode(part) == b"line 2"
    # the stock client decodes it
    assert packager.downloadTaskOutput(task_id, "x86_64.log", offset=-3) == b" 2\n"
    with pytest.raises(koji.GenericError, match="no file"):
        packager.downloadTaskOutput(task_id, "no.log")
    with pytest.raises(koji.GenericError):
        packager.downloadTaskOutput(task_id, "../../etc/passwd")
    served = requests.get(f"{hub.topurl}/work/{directory}/x86_64.log", timeout=30)
    assert served.content == b"line 1\nline 2\n"
    part = requests.get(f"{hub.topurl}/work/{directory}/x86_64.log", headers={"Range": "bytes=7-"}, timeout=30)
    assert (part.status_code, part.content) == (206, b"line 2\n")


def test_the_old_upload_call_still_works(scene, packager):
    directory, data = scene.name("upload"), b"content"
    chunk = base64.b64encode(data).decode()
    digest = hashlib.md5(data).hexdigest()
    assert packager.uploadFile(directory, "old", len(data), digest, 0, chunk) is True
    assert packager.uploadFile(directory, "older", len(data), "0" * 32, 0, chunk) is False
    assert packager.checkUpload(directory, "old")["size"] == len(data)
