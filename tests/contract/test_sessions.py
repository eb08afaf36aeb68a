"""Login, call numbers, exclusive sessions, sub-sessions, expiry, and the bare protocol."""

import koji
import pytest
import requests


def test_a_client_certificate_logs_in_as_its_common_name(packager):
    assert packager.getLoggedInUser()["name"] == "packager"


def test_an_unknown_user_of_a_known_certificate_is_created(scene, admin):
    scene.session("stranger")
    assert admin.getUser("stranger")["usertype"] == koji.USERTYPES["NORMAL"]


def test_a_password_logs_in_and_a_wrong_one_does_not(hub, scene, admin):
    name = scene.name("user")
    admin.createUser(name)
    hub.set_password(name, "right")
    assert hub.login_password(name, "right").getLoggedInUser()["name"] == name
    with pytest.raises(koji.AuthError):
        hub.login_password(name, "wrong")


def test_ssl_login_without_a_certificate_gives_no_session(hub):
    session = koji.ClientSession(hub.url, {"serverca": str(hub.ca), "max_retries": 1, "anon_retry": False})
    with pytest.raises((koji.AuthError, requests.RequestException)):
        session._callMethod("sslLogin", [None])


def test_a_closed_session_is_refused(packager):
    stale = koji.ClientSession(packager.baseurl, packager.opts, sinfo=dict(packager.sinfo))
    assert stale.getLoggedInUser()["name"] == "packager"
    packager.logout()
    with pytest.raises(koji.AuthError) as refused:
        stale.getLoggedInUser()
    assert refused.value.faultCode == 1002


def test_an_anonymous_caller_has_no_user(hub):
    session = hub.anonymous()
    assert session.getLoggedInUser() is None
    assert session.getAPIVersion() == 1


def test_a_repeated_call_number_of_a_write_is_a_retry_error(scene, admin):
    admin.createUser(scene.name("once"))
    admin.callnum -= 1
    with pytest.raises(koji.RetryError) as refused:
        admin.createUser(scene.name("twice"))
    assert refused.value.faultCode == 1009
    assert admin.getUser(scene.name("twice")) is None


def test_a_lower_call_number_is_a_sequence_error(scene, admin):
    admin.createUser(scene.name("once"))
    admin.callnum -= 2
    with pytest.raises(koji.SequenceError) as refused:
        admin.getAPIVersion()
    assert refused.value.faultCode == 1008


def test_a_repeated_call_number_of_a_read_is_answered(admin):
    admin.getAPIVersion()
    admin.callnum -= 1
    assert admin.getAPIVersion() == 1


def test_one_session_of_a_user_can_be_exclusive(scene):
    first, second = scene.session("other"), scene.session("other")
    first.exclusiveSession()
    with pytest.raises(koji.AuthLockError) as refused:
        second.getLoggedInUser()
    assert refused.value.faultCode == 1006
    with pytest.raises(koji.AuthLockError):
        second.exclusiveSession()
    second.exclusiveSession(force=True)
    assert second.getSessionInfo()["exclusive"] is True
    with pytest.raises(koji.AuthError):
        first.getLoggedInUser()


def test_a_subsession_is_exclusive_with_its_master_and_ends_with_it(scene):
    master = scene.session("other")
    master.exclusiveSession()
    child = master.subsession()
    assert child.getLoggedInUser()["name"] == "other"
    with pytest.raises(koji.GenericError):
        child.exclusiveSession()
    master.logout()
    with pytest.raises(koji.AuthError):
        child.getLoggedInUser()
    child.logged_in = False


def test_an_expired_session_is_renewed_with_a_new_key(hub, scene):
    session = scene.session("packager")
    session_id, key = session.sinfo["session-id"], session.sinfo["session-key"]
    hub.expire_session(session_id)
    other = koji.ClientSession(hub.url, session.opts, sinfo=dict(session.sinfo))
    # below the client's own renewal
    with pytest.raises(koji.xmlrpcplus.Fault) as refused:
        other._sendCall(*other._prepCall("getLoggedInUser", []))
    assert refused.value.faultCode == 1007
    # the stock client renews by itself
    assert session.getLoggedInUser()["name"] == "packager"
    assert session.sinfo["session-id"] == session_id
    assert session.sinfo["session-key"] != key


def test_failing_calls_of_a_multicall_are_undone_alone(scene, admin):
    with admin.multicall() as calls:
        good = calls.createUser(scene.name("good"))
        bad = calls.createUser(scene.name("good"))
        also = calls.createUser(scene.name("also"))
    assert isinstance(good.result, int) and isinstance(also.result, int)
    with pytest.raises(koji.GenericError):
        _ = bad.result


def test_an_unknown_method_and_wrong_arguments_are_plain_faults(hub):
    session = hub.anonymous()
    with pytest.raises(koji.GenericError, match="Invalid method: noSuchMethod") as unknown:
        session.noSuchMethod()
    assert unknown.value.faultCode == 1000
    with pytest.raises(koji.ParameterError) as wrong:
        session.getUser(1, 2, 3, 4, 5, 6)
    assert wrong.value.faultCode == 1019


def test_what_is_no_call_is_a_bad_request(hub):
    assert requests.get(hub.plain_url, timeout=30).status_code == 405
    headers = {"Content-Type": "text/xml"}
    assert requests.post(hub.plain_url, data=b"", headers=headers, timeout=30).status_code == 400
    assert requests.post(hub.plain_url, data=b"<a", headers=headers, timeout=30).status_code == 400
    too_long = b"<?xml version='1.0'?>" + b" " * (5 << 20)
    assert requests.post(hub.plain_url, data=too_long, headers=headers, timeout=30).status_code == 400


def test_faults_come_with_status_200_and_unusual_values_survive(hub):
    call = koji.xmlrpcplus.dumps((None, 2**40, "ü\t<&>", [1.5, {"k": True}]), methodname="echo")
    answer = requests.post(hub.plain_url, data=call.encode(), headers={"Content-Type": "text/xml"}, timeout=30)
    assert koji.xmlrpcplus.loads(answer.content)[0][0] == [None, 2**40, "ü\t<&>", [1.5, {"k": True}]]
    call = koji.xmlrpcplus.dumps((), methodname="noSuchMethod")
    assert requests.post(hub.plain_url, data=call, headers={"Content-Type": "text/xml"}, timeout=30).status_code == 200


def test_plugin_methods_can_be_listed_with_their_arguments(hub):
    api = {entry["name"]: entry for entry in hub.anonymous()._listapi()}
    arguments = [arg[0] if isinstance(arg, list) else arg for arg in api["buildContainer"]["args"]]
    assert arguments == ["src", "target", "opts", "priority", "channel"]
    assert "buildSourceContainer" in api
