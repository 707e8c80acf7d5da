"""Generates Sigma rules and events, and lets pySigma and SQLite say which rule matches which event.

usage: sigma_oracle.py SEED RULES EVENTS FOLDER          single events: rules.yml, events.json, expected.json
       sigma_oracle.py SEED CASES correlations FOLDER    correlations: the same files

pySigma parses the rules and its SQLite backend translates them. The backend knows one value per field; here a field has a row per
value in the table `vals`, and a comparison holds where it holds for any of them.
"""

import ipaddress
import json
import random
import re
import sqlite3
import sys

from sigma.backends.sqlite import sqliteBackend
from sigma.backends.sqlite.runtime import execute_plan
from sigma.collection import SigmaCollection
from sigma.types import (
    SigmaCIDRExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
)

SOURCE = "logsource: {product: alibaba, service: actiontrail}"
TEXTS = [
    "alpha", "Alpha", "ALPHA-1", "alphabet", "beta", "gamma ray", "a*b", "axb", "a?b", "50%_off", "50xyoff", "C:\\Temp\\x", "C:\\Temp",
    "tool -enc /f", "tool /enc -f", "i-1", "i-10", "i-2", "", " ", "中文", "中国文", "one\ntwo", "10", "20", "7.5", "0", "-3", "true",
    "False", "10.1.2.3", "10.200.0.9", "203.0.113.9", "2001:db8::1", "a.b", "[x]", "it's", '"quoted"', "YWxwaGE=", "eGFscGhheA==", "a\\*b",
]
NAMES = ["CreateUser", "DeleteUser", "RunInstances", "StopInstances", "GetObject", "AttachPolicyToUser"]
COLUMNS = [
    "userAgent", "errorCode", "errorMessage", "acsRegion", "vpcId", "userIdentity.userName", "userIdentity.accessKeyId", "resourceName",
    "sourceIpAddress",
]
MEMBERS = [
    "requestParameters.UserName", "requestParameters.Ids", "requestParameters.Size", "requestParameters.Note", "requestParameters.Flag",
    "requestParameters.Policy.Statement.Effect", "requestParameters.Tags.Key", "responseElements.InstanceIdSets.InstanceIdSet",
    "additionalEventData.loginAccount", "additionalEventData.deep.er",
]
PATTERNS = [
    "alpha", "^alpha$", "^a.*[0-9]$", "i-1|i-2", "^$", "\\d+", "[ab]eta", "^(10|20)$", "x{2,}", "\\.", "^.{3}$", "(alpha|beta).*t", "%", "\\\\",
]
RANGES = ["10.0.0.0/8", "10.1.0.0/16", "203.0.113.0/24", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "10.1.2.3/32"]


SEEN = {}


class Backend(sqliteBackend):
    """The backend over `vals`: event, field, value as text, value as number."""

    collate_nocase = True

    def __init__(self):
        super().__init__()
        self.aliases = {}

    def escape_and_quote_field(self, field):
        return self.aliases.get(field, "v.value")

    def any(self, field, expression):
        name = field.replace("'", "''")
        return f"EXISTS (SELECT 1 FROM vals v WHERE v.event = e.id AND v.field = '{name}' AND {expression})"

    def convert_condition_field_eq_val(self, cond, state):
        value = cond.value
        if isinstance(value, SigmaExpansion):
            return super().convert_condition_field_eq_val(cond, state)
        name = cond.field.replace("'", "''")
        there = f"EXISTS (SELECT 1 FROM present p WHERE p.event = e.id AND p.field = '{name}')"
        if isinstance(value, SigmaExists):
            return there if value.exists else f"NOT {there}"
        if isinstance(value, SigmaNull):
            return f"(NOT {there} OR {self.any(cond.field, 'v.value IS NULL')})"
        if isinstance(value, SigmaCIDRExpression):
            return self.any(cond.field, f"in_range(v.value, '{value.cidr}')")
        if isinstance(value, SigmaFieldReference):
            self.aliases = {value.field: "w.value"}
            inner = super().convert_condition_field_eq_val(cond, state)
            self.aliases = {}
            other = value.field.replace("'", "''")
            return (
                f"EXISTS (SELECT 1 FROM vals v, vals w WHERE v.event = e.id AND w.event = e.id AND v.field = '{name}' "
                f"AND w.field = '{other}' AND ({inner}))"
            )
        return self.any(cond.field, "(" + super().convert_condition_field_eq_val(cond, state) + ")")

    def convert_condition_field_eq_val_num(self, cond, state):
        return f"v.number = {cond.value}"

    def convert_condition_field_compare_op_val(self, cond, state):
        return f"v.number {self.compare_operators[cond.value.op]} {cond.value.number}"

    def convert_condition_field_eq_val_bool(self, cond, state):
        return f"v.value = '{str(cond.value.boolean).lower()}' COLLATE NOCASE"


def in_range(text, cidr):
    try:
        return text is not None and ipaddress.ip_address(text) in ipaddress.ip_network(cidr)
    except ValueError:
        return False


def regexp(pattern, text):
    return text is not None and re.search(pattern, text) is not None


NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def as_text(value):
    return value if isinstance(value, str) or value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def flatten(value, path, values, present):
    """Adds (path, value) for every value of an event and its paths; elements of lists have the path of the list."""
    if path:
        present.add(path)
    if isinstance(value, list):
        for element in value:
            flatten(element, path, values, present)
        return
    if path:
        values.append((path, as_text(value)))
    if isinstance(value, dict):
        for key, member in value.items():
            flatten(member, f"{path}.{key}" if path else key, values, present)


def database(events):
    connection = sqlite3.connect(":memory:")
    connection.create_function("REGEXP", 2, regexp, deterministic=True)
    connection.create_function("in_range", 2, in_range, deterministic=True)
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE vals (event INTEGER, field TEXT, value TEXT, number NUMERIC)")
    connection.execute("CREATE TABLE present (event INTEGER, field TEXT)")
    for number, event in enumerate(events):
        values, present = [], set()
        flatten(event, "", values, present)
        connection.execute("INSERT INTO events VALUES (?)", (number,))
        connection.executemany("INSERT INTO present VALUES (?, ?)", [(number, path) for path in sorted(present)])
        for path, value in values:
            is_number = value is not None and NUMBER.fullmatch(value.strip())
            numeric = (float(value) if re.search(r"[.eE]", value) else int(value)) if is_number else None
            connection.execute("INSERT INTO vals VALUES (?, ?, ?, ?)", (number, path, value, numeric))
    connection.execute("CREATE INDEX by_event ON vals (event, field)")
    connection.execute("CREATE INDEX present_by_event ON present (event, field)")
    return connection


# --- generated events and rules


def put(event, path, value):
    *parents, last = path.split(".")
    for parent in parents:
        event = event.setdefault(parent, {})
    event[last] = value


def event_of(rng, number):
    event = {
        "eventId": f"e{number}", "eventVersion": "1", "eventName": rng.choice(NAMES), "eventType": "ApiCall", "eventRW": "Write",
        "eventSource": "ram.aliyuncs.com", "serviceName": rng.choice(["Ram", "Ecs"]), "requestId": f"r{number}",
        "eventTime": f"2026-09-20T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z", "recipientAccountId": "1000000000000001",
        "userIdentity": {"type": rng.choice(["ram-user", "root-account"]), "accountId": "1000000000000001", "principalId": "2a"},
    }
    for path in COLUMNS:
        if rng.random() < 0.75:
            put(event, path, None if rng.random() < 0.08 else rng.choice(TEXTS))
    for path in MEMBERS:
        if rng.random() < 0.7:
            put(event, path, member_of(rng, path))
    return event


def member_of(rng, path, depth=0):
    kind = rng.random()
    if path.endswith("Tags.Key") and depth == 0 and kind < 0.1:
        return []
    if kind < 0.5 or depth > 2:
        return rng.choice(TEXTS)
    if kind < 0.6:
        return rng.choice([10, 20, 7.5, 0, -3, 100000, 289694512370562131])
    if kind < 0.66:
        return rng.choice([True, False])
    if kind < 0.72:
        return None
    return [member_of(rng, path, depth + 1) for _ in range(rng.randrange(4))]


def with_object_lists(rng, event):
    """In some events the tags are a list of objects."""
    tags = event.get("requestParameters", {}).get("Tags")
    if tags is not None and rng.random() < 0.5:
        event["requestParameters"]["Tags"] = [{"Key": member_of(rng, "x", 2), "Value": "v"} for _ in range(rng.randrange(3))]
    return event


def literal(text):
    """A text whose wildcards are literal in Sigma."""
    return re.sub(r"([\\*?])", r"\\\1", text)


def pattern_of(rng, text):
    if len(text) < 2:
        return "*"
    at = rng.randrange(1, len(text))
    return rng.choice([
        literal(text[:at]) + "*", "*" + literal(text[at:]), "*" + literal(text[at - 1:at + 1]) + "*",
        literal(text[:at - 1]) + "?" + literal(text[at:]), literal(text[:at]) + "*" + literal(text[at:]), "?" * len(text),
    ])


def value_of(rng, field):
    if field == "eventName":
        name = rng.choice(NAMES)
        return rng.choice([name, name.lower(), name.upper(), pattern_of(rng, name)])
    text = text_of(rng, field)
    roll = rng.random()
    if roll < 0.55:
        return literal(text)
    if roll < 0.7:
        return literal(text.swapcase())
    return pattern_of(rng, text)


def text_of(rng, field):
    """A text that often stands in some event's field."""
    known = SEEN.get(field)
    return rng.choice(known) if known and rng.random() < 0.7 else rng.choice(TEXTS)


def part_of(rng, field):
    text = text_of(rng, field)
    at = rng.randrange(len(text) + 1)
    part = rng.choice([text[:at], text[at:], text[max(0, at - 2):at + 2], text])
    part = part.swapcase() if rng.random() < 0.3 else part
    return literal(part) + ("*" + literal(text[-1:]) if rng.random() < 0.1 else "")


def several(rng, make):
    return make() if rng.random() < 0.6 else [make() for _ in range(rng.randrange(1, 4))]


def item_of(rng):
    """A field with modifiers, and its value."""
    field = rng.choice(["eventName"] + COLUMNS + MEMBERS + MEMBERS)
    roll = rng.random()
    # pySigma reads longer numbers as floats.
    number = lambda: rng.choice([10, 20, 7.5, 0, -3, 100000])
    if roll < 0.26:
        return field, several(rng, lambda: value_of(rng, field))
    if roll < 0.32:
        return f"{field}|{rng.choice(['cased', 'neq'])}", several(rng, lambda: value_of(rng, field))
    if roll < 0.54:
        more = rng.choice(["", "", "", "|all", "|cased", "|neq", "|windash"])
        return f"{field}|{rng.choice(['contains', 'startswith', 'endswith'])}{more}", several(rng, lambda: part_of(rng, field))
    if roll < 0.62:
        return f"{field}|re{rng.choice(['', '', '|i', '|i|s'])}", several(rng, lambda: rng.choice(PATTERNS))
    if roll < 0.68:
        return f"{rng.choice(['sourceIpAddress', 'requestParameters.Ids', field])}|cidr", several(rng, lambda: rng.choice(RANGES))
    if roll < 0.76:
        return f"{field}|exists", rng.choice([True, False])
    if roll < 0.82:
        return field, rng.choice([None, [None, ""], [None, literal(rng.choice(TEXTS))]])
    if roll < 0.9:
        return f"{field}|{rng.choice(['gt', 'gte', 'lt', 'lte'])}", number()
    if roll < 0.93:
        return rng.choice(MEMBERS), several(rng, number)
    if roll < 0.95:
        return rng.choice(MEMBERS), rng.choice([True, False])
    if roll < 0.97:
        return f"{field}|fieldref{rng.choice(['', '|startswith', '|contains'])}", rng.choice(COLUMNS + MEMBERS)
    if roll < 0.98:
        return f"eventTime|{rng.choice(['hour', 'minute', 'day', 'month', 'year'])}", rng.randrange(24)
    if roll < 0.985:
        return f"{field}|windash", "tool -enc /f"
    if roll < 0.99:
        return f"{field}|{rng.choice(['base64', 'base64offset|contains', 'wide|base64offset|contains'])}", "alpha"
    return rng.choice([(f"{field}|expand", "%list%"), ("requestParameters.Nope[any]", "x"), ("userIdentity.nickname", "x")])


def selection_of(rng):
    items = lambda: dict(item_of(rng) for _ in range(rng.choice([1, 1, 1, 1, 2])))
    return items() if rng.random() < 0.85 else [items() for _ in range(2)]


def condition_of(rng, names, depth=0):
    roll = rng.random()
    if depth > 2 or roll < 0.4:
        name = rng.choice(names)
        return name if rng.random() < 0.75 else f"not {name}"
    if roll < 0.55:
        return rng.choice(["1 of sel*", "all of sel*", "1 of them", "all of them", "not 1 of sel*", "any of them"])
    joined = rng.choice([" and ", " or ", " and not "]).join(condition_of(rng, names, depth + 1) for _ in range(2))
    return f"({joined})" if rng.random() < 0.7 else joined


def rule_of(rng, number):
    names = [f"sel{at}" for at in range(rng.choice([1, 1, 1, 2, 3]))]
    detection = {name: selection_of(rng) for name in names}
    detection["condition"] = condition_of(rng, names)
    if rng.random() < 0.01:
        detection[names[0]] = ["keyword", "another"]
    return f"title: rule {number}\nid: {number:08x}-0000-4000-8000-000000000000\n{SOURCE}\ndetection: {json.dumps(detection, ensure_ascii=False)}\n"


def single_events(rng, rules, events):
    events = [with_object_lists(rng, event_of(rng, number)) for number in range(events)]
    connection = database(events)
    SEEN.clear()
    for field, value in connection.execute("SELECT field, value FROM vals WHERE value IS NOT NULL ORDER BY event, field, value"):
        SEEN.setdefault(field, []).append(value)
    expected = {}
    documents = [rule_of(rng, number) for number in range(rules)]
    for number, document in enumerate(documents):
        try:
            queries = Backend().convert(SigmaCollection.from_yaml(document))
            conditions = [query.split(" WHERE ", 1)[1] for query in queries]
            sql = " OR ".join(f"({condition})" for condition in conditions)
            found = [f"e{row[0]}" for row in connection.execute(f"SELECT e.id FROM events e WHERE {sql}")]
            expected[f"{number:08X}"] = found
        except Exception as error:  # pySigma refuses it too
            expected[f"{number:08X}"] = f"{type(error).__name__}: {error}"
    return documents, events, expected


# --- correlations


def correlation_of(rng, number):
    kind = rng.choice(["event_count", "value_count", "value_sum", "temporal", "temporal_ordered", "temporal"])
    actions = rng.sample(NAMES, 3)
    names = [f"base_{number}_{at}" for at in range(2 if kind != "temporal" else rng.choice([2, 3]))]
    documents = [
        f"title: {name}\nname: {name}\n{SOURCE}\ndetection: {{s: {{eventName: {action}}}, condition: s}}\n"
        for name, action in zip(names, actions)
    ]
    own = {"type": kind, "rules": names, "group-by": ["userIdentity.principalId"], "timespan": rng.choice(["5m", "30m", "90s", "2h"])}
    if kind == "event_count":
        own["condition"] = {rng.choice(["gte", "gt"]): rng.randrange(1, 5)}
    elif kind == "value_count":
        own["condition"] = {"gte": rng.randrange(1, 4), "field": "requestParameters.UserName"}
    elif kind == "value_sum":
        own["condition"] = {rng.choice(["gte", "gt"]): rng.randrange(1, 12), "field": "requestParameters.Size"}
    elif kind == "temporal" and rng.random() < 0.7:
        of_two = ["{0} and {1}", "{0} or {1}", "{1} and {0}", "{0} and not {1}"]
        of_three = ["{0} and ({1} or {2})", "({0} or {1}) and {2}", "{0} and {1} or {2}", "{0} or {1} or {2}", "{2} and {1} and {0}"]
        own["condition"] = rng.choice(of_two if len(names) == 2 else of_three).format(*names)
    documents.append(
        f"title: correlation {number}\nid: {number:08x}-0000-4000-8000-000000000000\ncorrelation: {json.dumps(own)}\n"
    )
    return documents, kind


def correlations(rng, cases):
    events = []
    for number in range(120):
        event = event_of(rng, number)
        minute = rng.randrange(240 * 60)
        event["eventTime"] = f"2026-09-20T{minute // 3600:02}:{minute // 60 % 60:02}:{minute % 60:02}Z"
        event["userIdentity"]["principalId"] = rng.choice(["a", "b", "c"])
        event["requestParameters"] = {"UserName": rng.choice(["u1", "u2", "u3"]), "Size": rng.choice(["1", "2.5", "x", "4"])}
        events.append(event)
    # Which of two events of one second came first is not known.
    events = list({event["eventTime"]: event for event in events}.values())
    connection = sqlite3.connect(":memory:")
    fields = ["eventId", "eventName", "userIdentity.principalId", "requestParameters.UserName", "requestParameters.Size", "timestamp"]
    columns = ", ".join(f"`{field}` TEXT COLLATE NOCASE" for field in fields)
    connection.execute(f"CREATE TABLE logs ({columns})")
    for event in events:
        row = [
            event["eventId"], event["eventName"], event["userIdentity"]["principalId"], event["requestParameters"]["UserName"],
            event["requestParameters"]["Size"], event["eventTime"],
        ]
        connection.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)
    documents, expected = [], {}
    for number in range(cases):
        own, kind = correlation_of(rng, number)
        documents.extend(own)
        try:
            backend = sqliteBackend(event_id_field="eventId", collate_nocase=True)
            rules = json.loads(backend.convert(SigmaCollection.from_yaml("\n---\n".join(own)), output_format="zircolite"))
            plan = next(rule["correlation_plan"] for rule in rules if rule.get("correlation"))
            alerts, _ = execute_plan(connection, plan, include_events=False)
            expected[f"{number:08X}"] = {
                "kind": kind,
                "events": sorted({identity.split(":", 1)[1] for alert in alerts for identity in alert["event_ids"]}),
                "groups": sorted({alert["group_keys"]["userIdentity.principalId"] for alert in alerts}),
            }
        except Exception as error:
            expected[f"{number:08X}"] = f"{type(error).__name__}: {error}"
    return documents, events, expected


def main():
    seed, count, events, folder = sys.argv[1:]
    rng = random.Random(int(seed))
    if events == "correlations":
        documents, events, expected = correlations(rng, int(count))
    else:
        documents, events, expected = single_events(rng, int(count), int(events))
    with open(f"{folder}/rules.yml", "w", encoding="utf-8") as file:
        file.write("---\n".join(documents))
    with open(f"{folder}/events.json", "w", encoding="utf-8") as file:
        json.dump(events, file, ensure_ascii=False)
    with open(f"{folder}/expected.json", "w", encoding="utf-8") as file:
        json.dump(expected, file, ensure_ascii=False)


main()
