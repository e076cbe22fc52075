"""Signing in, sessions, errors, lost connections, and the control API."""

import threading
import time
import urllib.error

import snowflake.connector

from ..auth import Rules
from ..harness import Refused


def _fails(code, call):
    try:
        call()
    except (snowflake.connector.Error, Refused) as error:
        found = getattr(error, "errno", None) or getattr(error, "code", None)
        assert found == code or str(code) in str(error), f"{error!r}, not {code}"
        return
    raise AssertionError(f"signed in; it should answer {code}")


def wrong_passwords_roles_and_accounts_are_refused(World):
    with World(Rules("emulator", {"DBT": "right"})) as w:
        w.connect(user="dbt", password="right")
        _fails(390100, lambda: w.connect(user="dbt", password="wrong"))
        _fails(390100, lambda: w.connect(user="else", password="right"))
        _fails(390189, lambda: w.connect(user="dbt", password="right", role="NOPE"))
        body = {"data": {"ACCOUNT_NAME": "other", "LOGIN_NAME": "dbt", "PASSWORD": "right"}}
        try:
            w.post("/session/v1/login-request", body)
        except urllib.error.HTTPError as error:
            assert error.code == 404
        else:
            raise AssertionError("another account's name was accepted")


def key_pairs_sign_in_and_another_key_does_not(World):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import rsa

    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    public = keys[0].public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()
    private = [k.private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, s.NoEncryption()) for k in keys]
    with World(Rules(public_key=public)) as w:
        w.connect(private_key=private[0], password=None)
        _fails(390144, lambda: w.connect(private_key=private[1], password=None))


def tokens_sign_in_as_oauth_as_access_tokens_and_as_passwords(World):
    with World(Rules(tokens={"tok"}, users={"DBT": "x"})) as w:
        for body in (
            {"AUTHENTICATOR": "OAUTH", "TOKEN": "tok"},
            {"AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN", "TOKEN": "tok"},
            {"PASSWORD": "tok"},
            {"AUTHENTICATOR": "WORKLOAD_IDENTITY", "PROVIDER": "OIDC", "TOKEN": "tok"},
        ):
            assert w.post("/session/v1/login-request", {"data": {"ACCOUNT_NAME": "a", "LOGIN_NAME": "dbt"} | body})[
                "success"
            ], body
        answer = w.post(
            "/session/v1/login-request", {"data": {"LOGIN_NAME": "dbt", "AUTHENTICATOR": "OAUTH", "TOKEN": "stale"}}
        )
        assert answer["code"] == "390303" and not answer["success"]


def errors_carry_the_number_the_state_and_the_query_id(World):
    with World() as w:
        refused = w.refuses(2003, "select * from NOPE.S.T")
        assert "does not exist or not authorized" in refused.message and refused.query_id
        w.sql("create database PROD", "create table PROD.PUBLIC.T (id int)")
        w.refuses(2002, "create table PROD.PUBLIC.T (id int)")
        w.refuses(904, "select nope from PROD.PUBLIC.T")
        w.refuses(1003, "select from where")
        w.refuses(8, "select 1; select 2")
        w.refuses(900, "-- nothing")


def an_expired_session_answers_390112_and_can_be_renewed(World):
    with World() as w:
        token = w.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "u", "PASSWORD": "p"}})["data"]["token"]
        assert w.post("/queries/v1/query-request?requestId=1", {"sqlText": "select 1"}, token)["data"]["rowset"] == [
            ["1"]
        ]
        w.control(op="expire")
        assert w.post("/queries/v1/query-request?requestId=2", {"sqlText": "select 1"}, token)["code"] == "390112"
        w.control(op="expire", session=0)
        one = w.connect()
        w.control(op="expire")
        assert w.sql("select 1", on=one) == [(1,)]  # the Python connector renews by itself


def a_connection_lost_before_a_statement_leaves_it_undone_and_after_it_done(World):
    with World() as w:
        w.shop()
        w.sql("create database B")
        token = w.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "u", "PASSWORD": "p"}})["data"]["token"]
        for number, (action, there) in enumerate((("drop_before", True), ("drop_after", False))):
            w.control(op="fault", action=action, match="swap with")
            try:
                w.post(
                    f"/queries/v1/query-request?requestId={number}",
                    {"sqlText": "alter database PROD swap with B"},
                    token,
                )
            except (OSError, ValueError):
                pass
            else:
                raise AssertionError("an answer came")
            assert (w.names("show schemas like 'S' in database PROD") == ["S"]) is there
        outcomes = [e["outcome"] for e in w.get("/emulator/statements") if "swap" in e["text"]]
        assert outcomes == ["dropped_before", "dropped_after success"]


def a_request_that_is_repeated_is_not_run_twice(World):
    with World() as w:
        w.shop()
        w.control(op="fault", action="drop_after", match="insert")
        assert w.sql("insert into PROD.S.T values (3, 'c')") == [(1,)]  # the Python connector asks again
        assert w.sql("select count(*) from PROD.S.T") == [(3,)]


def faults_choose_the_nth_match_and_answer_any_error(World):
    with World() as w:
        w.control(
            op="fault", action="error", match="select 1", nth=2, code=90073, state="57014", message="warehouse trouble"
        )
        w.sql("select 1")
        assert "warehouse trouble" in w.refuses(90073, "select 1").message
        w.sql("select 1")


def the_log_has_text_session_tag_and_outcome(World):
    with World() as w:
        one = w.connect(session_parameters={"QUERY_TAG": "switchback:r43:clone"})
        w.sql("select 42", on=one)
        w.sql("alter session set query_tag = 'other'", "select 43", on=one)
        log = {e["text"]: e for e in w.get("/emulator/statements")}
        assert log["select 42"]["query_tag"] == "switchback:r43:clone" and log["select 43"]["query_tag"] == "other"
        assert log["select 42"]["outcome"] == "success" and log["select 42"]["session"] == log["select 43"]["session"]


def latency_is_added_to_statements_and_sessions_run_side_by_side(World):
    with World() as w:
        sessions = [w.connect() for _ in range(4)]
        w.control(op="latency", ms=300)
        began = time.monotonic()
        threads = [threading.Thread(target=w.sql, args=("select 1",), kwargs={"on": s}) for s in sessions]
        [t.start() for t in threads], [t.join(10) for t in threads]
        assert 0.3 <= time.monotonic() - began < 1.1


def a_statement_that_takes_too_long_is_stopped_on_the_server(World):
    with World() as w:
        w.sql("alter session set statement_timeout_in_seconds = 1")
        w.refuses(630, "select system$wait(20)")


def a_running_statement_can_be_cancelled_by_its_request_id(World):
    with World() as w:
        token = w.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "u", "PASSWORD": "p"}})["data"]["token"]
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(
                w.post("/queries/v1/query-request?requestId=77", {"sqlText": "select system$wait(9)"}, token)
            )
        )
        thread.start()
        time.sleep(0.3)
        assert w.post("/queries/v1/abort-request?requestId=78", {"requestId": "77"}, token)["success"]
        thread.join(5)
        assert answers[0]["code"] == "000604" and answers[0]["sqlState"] == "57014"


def a_slow_statement_is_polled_and_found_by_its_id(World):
    with World(async_after=0.2) as w:
        token = w.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "u", "PASSWORD": "p"}})["data"]["token"]
        answer = w.post("/queries/v1/query-request?requestId=1", {"sqlText": "select system$wait(0.5)"}, token)
        assert answer["code"] == "333333"
        url = answer["data"]["getResultUrl"]
        while answer["code"] == "333333":
            answer = w.get(url, token)
        assert answer["success"] and answer["data"]["rowset"] == [["waited 0.5 seconds"]]


def rowsets_are_json_strings_and_the_kinds_fit_the_rust_driver(World):
    with World() as w:
        token = w.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "u", "PASSWORD": "p"}})["data"]["token"]
        data = w.post(
            "/queries/v1/query-request?requestId=1",
            {
                "sqlText": "select 1 as a, 'x' as b, true as c, current_timestamp() as d, null as e, '2026-01-01'::timestamp_tz as f"
            },
            token,
        )["data"]
        assert data["queryResultFormat"] == "json" and all(v is None or isinstance(v, str) for v in data["rowset"][0])
        assert [c["type"] for c in data["rowtype"]] == [
            "fixed",
            "text",
            "boolean",
            "timestamp_ltz",
            "text",
            "timestamp_tz",
        ]
        assert data["rowset"][0][5].endswith(" 1440") and data["queryId"]
        empty = w.post("/queries/v1/query-request?requestId=2", {"sqlText": "show databases"}, token)["data"]
        assert empty["rowset"] == [] and empty["rowtype"][0]["name"] == "created_on"


def the_clock_can_be_moved(World):
    with World() as w:
        before = w.sql("select sysdate()")[0][0]
        w.control(op="clock", advance=86400)
        assert (w.sql("select sysdate()")[0][0] - before).days >= 1


def wrong_control_requests_are_refused(World):
    with World() as w:
        for request in (
            {"op": "nope"},
            {"op": "fault", "action": "nope"},
            {"op": "switch", "name": "nope", "value": "x"},
        ):
            try:
                w.control(**request)
            except urllib.error.HTTPError as error:
                assert error.code == 400
            else:
                raise AssertionError(request)


def the_query_history_finds_a_lost_statement_by_its_tag(World):
    with World() as w:  # facts, 7: how an unknown outcome is resolved
        w.shop()
        w.sql("create database B")
        one = w.connect(session_parameters={"QUERY_TAG": "r43:swap"})
        ask = "select query_text, execution_status from table(B.information_schema.query_history()) where query_tag = 'r43:swap'"
        w.control(op="fault", action="drop_before", match="swap with", times=99)
        try:
            w.sql("alter database PROD swap with B", on=one)
        except Refused:
            pass
        assert w.sql(ask) == []
        w.control(op="clear")
        w.sql("alter database PROD swap with B", on=one)
        assert w.sql(ask) == [("alter database PROD swap with B", "SUCCESS")]


def a_statement_is_cancelled_by_its_query_id(World):
    with World(async_after=0.1) as w:
        token = w.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "u", "PASSWORD": "p"}})["data"]["token"]
        answer = w.post("/queries/v1/query-request?requestId=1", {"sqlText": "select system$wait(9)"}, token)
        w.sql(f"select system$cancel_query('{answer['data']['queryId']}')")
        while answer["code"] == "333333":
            answer = w.get(f"/queries/{answer['data']['queryId']}/result", token)
        assert answer["code"] == "000604"


def every_switch_is_listed_with_its_values(World):
    with World() as w:  # E
        listed = w.control(op="switches")["switches"]
        assert {s["name"]: s["values"][0] for s in listed} == w.engine.switches.values
        assert all(s["fact"] and len(s["values"]) > 1 for s in listed)
