"""Records inside a document are found by their path, with their places, whatever stands around them."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import ijson  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.formats.documents import MAX_DEPTH, ObjectDecoder, PathDecoder, PathFinder, slow_backend
from tests.pipeline.bodies import cuts, decode, read_whole, records, single_bytes
from tests.selection import examples

_around = st.dictionaries(st.sampled_from(["a", "b", "events", "ev[ents", "ü", 'q"']), st.none() | records, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Documents with events at the top, deeper, several times, or not at all; perhaps cut short."""
    events = draw(st.lists(records, max_size=4))
    document: dict[str, Any] = draw(_around) | {"events": events} | {"behind": draw(_around)}
    if draw(st.booleans()):
        document = {"events": document}  # the same key at another depth
    text = json.dumps(document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    body = text.encode(errors="surrogatepass")
    return body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body


@given(
    documents(), st.sampled_from(["events.item", "events.events.item"]), st.lists(st.integers(0, 10_000), max_size=6)
)
@settings(max_examples=examples(200), deadline=None)
def test_any_cutting_gives_the_records_and_dead_letters_of_the_whole_body(
    body: bytes, path: str, points: list[int]
) -> None:
    found, dead, count, broken = decode(PathDecoder(path), [body])
    for chunks in (cuts(body, points), single_bytes(body)):
        again, letters, number, gave_up = decode(PathDecoder(path), chunks)
        assert (again, number) == (found, count)
        assert (gave_up is None) == (broken is None)
        ours = [letter for letter in letters if letter != gave_up]
        assert ours == [letter for letter in dead if letter != broken]


@given(documents(), st.sampled_from(["events.item", "events.events.item"]))
@settings(max_examples=examples(200), deadline=None)
def test_records_are_those_of_ijson(body: bytes, path: str) -> None:
    found, dead, count, broken = decode(PathDecoder(path), [body])
    if body and broken is None and not dead:
        ours = [json.loads(json.dumps(record)) for record in found]
        assert ours == _by_ijson(body, path)
        assert count == len(ours)


def _by_ijson(body: bytes, path: str) -> list[Any]:
    return [json.loads(json.dumps(item, default=float)) for item in ijson.items(io.BytesIO(body), path)]


def test_several_arrays_at_one_path_are_all_read_with_running_numbers() -> None:
    orders = [{"id": order, "lines": [{"n": order * 10 + line} for line in range(3)]} for order in range(4)]
    body = json.dumps({"orders": orders, "lines": [{"n": 99}]}).encode()
    for chunks in ([body], single_bytes(body)):
        found, dead, count, broken = decode(PathDecoder("orders.item.lines.item"), chunks)
        assert [record["n"] for record in found] == [order * 10 + line for order in range(4) for line in range(3)]
        assert (dead, count, broken) == ([], 12, None)


def test_a_bad_record_is_one_dead_letter_with_its_place() -> None:
    body = b'{"source": "shop", "events": [{"n": 1}, {"n": nope}, 7, {"n": 2}], "more": [1]}'
    found, dead, count, broken = decode(PathDecoder("events.item"), [body])
    assert found == [{"n": 1}, {"n": 2}]
    assert [body[letter.offset :].startswith(letter.raw) for letter in dead] == [True, True]
    assert [letter.record for letter in dead] == [2, 3]
    assert (count, broken) == (4, None)


def test_a_document_that_breaks_off_keeps_what_came_before() -> None:
    found, _, _, broken = decode(PathDecoder("events.item"), [b'{"events": [{"n": 1}, {"n": '])
    assert found == [{"n": 1}]
    assert broken is not None
    assert broken.offset == 22


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"events": [{"n": 1}]', "premature"),
        (b'{"events": [{"n": 1}], nope}', "invalid"),
        (b'{"event": [{"n": 1}]}', "no array at 'events'"),
        (b"nope", "invalid"),
    ],
)
def test_a_document_that_is_wrong_around_the_records_is_broken(body: bytes, reason: str) -> None:
    _, _, _, broken = decode(PathDecoder("events.item"), [body])
    assert broken is not None
    assert reason in broken.reason


@pytest.mark.parametrize("body", [b"[1,2", b'{"ev', b'{"events": [{"n": 1}]', b'{"events": 1'])
def test_a_document_that_is_cut_off_says_so_and_what_to_do(body: bytes) -> None:
    broken = decode(PathDecoder("events.item"), [body])[-1]
    assert broken is not None
    assert broken.reason == "the document must be whole JSON, got a premature end: was it cut off? send all of it"


def test_an_empty_body_holds_no_records() -> None:
    assert decode(PathDecoder("events.item"), []) == ([], [], 0, None)


@pytest.mark.parametrize("place", ["around", "inside"])
def test_nesting_of_a_hundred_thousand_is_refused(place: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    body = b'{"x": %b, "events": [{"n": 1}, {"n": %b}, {"n": 2}]}' % (
        (deep, b"1") if place == "around" else (b"1", deep)
    )
    found, dead, _, broken = decode(PathDecoder("events.item"), cuts(body, range(0, len(body), 4_000)))
    if place == "around":
        assert broken is not None
        assert f"at most {MAX_DEPTH} deep" in broken.reason
    else:
        assert found == [{"n": 1}, {"n": 2}]
        assert [letter.reason for letter in dead] == ["nested too deeply"]


def test_a_path_that_does_not_end_in_elements_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must end in \.item"):
        PathFinder("events")


def test_this_machine_reads_documents_with_the_backend_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slow_backend() is None
    monkeypatch.setattr(ijson, "backend", "python")
    assert "yajl2_c" in str(slow_backend())


@given(records, st.integers(0, 10_000))
def test_an_object_printed_over_lines_is_one_record(record: Any, point: int) -> None:
    body = json.dumps(record, indent=2).encode()
    found, dead, count, _ = decode(ObjectDecoder(), cuts(b"\xef\xbb\xbf" + body + b"\r\n", [point]))
    expected = read_whole(body)
    assert (found, len(dead), count) == (([], 1, 1) if expected is None else ([expected], 0, 1))


def test_an_object_over_the_limit_is_one_dead_letter() -> None:
    body = b'{"a": "' + b"x" * 1_000 + b'"}'
    for chunks in ([body], single_bytes(body)):
        found, dead, _, _ = decode(ObjectDecoder(max_record=100), chunks)
        assert (found, len(dead)) == ([], 1)
        assert "at most 100 bytes" in dead[0].reason


_long = st.sampled_from(["x", "é", "😀", '"', "\\", "\n", "[", "\u0001"]).map(lambda one: one * 3_000)


@given(_long, _long, st.booleans(), st.lists(st.integers(0, 60_000), max_size=6))
@settings(max_examples=examples(100), deadline=None)
def test_a_long_string_around_the_records_changes_nothing_however_it_is_cut(
    before: str, behind: str, ascii_only: bool, points: list[int]
) -> None:
    events = [{"a": 1}, {"a": behind}]
    document = {"big": before, "l" * 5_000: [before], "events": events, "behind": {"more": [behind, 1.5, None]}}
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert decode(PathDecoder("events.item"), cuts(body, points)) == (events, [], 2, None)


def test_what_stands_around_the_records_is_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    given_on = 0
    send = PathFinder._send

    def counted(self: PathFinder, piece: bytes) -> bool:
        nonlocal given_on
        given_on += len(piece)
        return send(self, piece)

    monkeypatch.setattr(PathFinder, "_send", counted)
    for filling in (b"x", b"\\n", b"[", "é".encode(), b'\\"'):
        given_on = 0
        decoder = PathDecoder("events.item")
        chunks = [b'{"big": "', *[filling * 60_000] * 40, b'", "events": [{"a": 1}], "z": "', filling * 60_000, b'"}']
        assert decode(decoder, chunks)[0] == [{"a": 1}]
        assert given_on < 5_000
    read: list[bytes] = []  # the control: ijson gathers a string until it ends
    coroutine = ijson.basic_parse_coro(events := ijson.sendable_list())
    for chunk in [b'{"big": "', *[b"x" * 60_000] * 4]:
        coroutine.send(chunk)
        read += [value for event, value in events if event == "string"]
    assert read == []


@pytest.mark.parametrize("chunk", [1, 700, 10_000])
def test_a_number_without_end_around_the_records_is_refused(chunk: int) -> None:
    body = b'{"n": ' + b"1" * 1_025 + b', "events": [{"a": 1}]}'
    _, _, _, broken = decode(PathDecoder("events.item"), [body[at : at + chunk] for at in range(0, len(body), chunk)])
    assert broken is not None
    assert "at most 1024 bytes" in broken.reason
    good = body.replace(b"1" * 1_025, b"1" * 1_000)
    assert decode(PathDecoder("events.item"), [good])[0] == [{"a": 1}]


def test_a_path_as_long_as_what_is_left_of_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="path must have less than 1024 bytes"):
        PathDecoder("a" * 1_020 + ".item")


@pytest.mark.parametrize("around", ["before", "behind"])
def test_many_values_around_the_records_are_never_events_all_at_once(around: str) -> None:
    values = b'"x": [' + b"1," * 1_000_000 + b"2]"
    parts = [values, b'"events": [{"a": 1}]'] if around == "before" else [b'"events": [{"a": 1}]', values]
    body = b"{" + b",".join(parts) + b"}"
    tracemalloc.start()
    try:
        decoder = PathDecoder("events.item", dict)
        records = decoder.feed(body) + decoder.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (records, decoder.broken) == ([{"a": 1}], None)
    assert peak < len(body), f"{peak:,} bytes for {len(body):,}"


@pytest.mark.parametrize(
    "name", [b"events", b"\\u0065vents", b"event\\u0073", b"".join(b"\\u%04x" % ord(one) for one in "events")]
)
@pytest.mark.parametrize("between", [b":", b" \n: \t\r"])
def test_the_array_is_found_however_its_name_is_written_and_cut(name: bytes, between: bytes) -> None:
    body = b'{"x": [[], ["events", "events\\":["]], "%b"%b[{"a": 1}], "y": {"events": [{"a": 2}]}}' % (name, between)
    for chunks in ([body], single_bytes(body), *(cuts(body, [at]) for at in range(1, len(body)))):
        assert decode(PathDecoder("events.item"), chunks) == ([{"a": 1}], [], 1, None)


ELSEWHERE = {
    "another name": ("events.item", b'["s"],{"tags":[]},'),
    "the name, deeper": ("events.item", b'{"events":[1]},'),
    "the name, elsewhere": ("data.events.item", b'{"events":[1]},'),
    "a name with escapes": ("events.item", b'{"\\n":[1]},'),
    "a string of quotes and brackets": ("events.item", b'"\\":[\\":[\\":[",'),
    "arrays without a name": ("data.item.item", b"[1],"),
    "brackets in strings": ("data.item.item", b'"[[[[\\"[[",'),
}


def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the sizes of all that ijson is given from now on."""
    sizes: list[int] = []
    send = PathFinder._send

    def counted(self: PathFinder, piece: bytes) -> bool:
        sizes.append(len(piece))
        return send(self, piece)

    monkeypatch.setattr(PathFinder, "_send", counted)
    return sizes


@pytest.mark.parametrize("what", ELSEWHERE)
def test_arrays_that_are_not_at_the_path_cost_ijson_no_call_of_their_own(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = sent(monkeypatch)
    path, around = ELSEWHERE[what]
    ours = b'"events":[{"a":1}],"data":{"events":[{"a":1}]}' if "events" in path else b'"data":[[{"a":1}]]'
    body = b'{"x":[%b[]],%b}' % (around * 10_000, ours)
    assert decode(PathDecoder(path), [body])[0] == [{"a": 1}]
    assert len(sizes) < 200
    assert sum(sizes) < 2 * len(body)


def test_an_array_at_the_path_costs_calls_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the count above sees."""
    sizes = sent(monkeypatch)
    assert decode(PathDecoder("x.item.item"), [b'{"x":[%b[]]}' % (b"[1]," * 1_000)])[2] == 1_000
    assert len(sizes) > 2_000


@pytest.mark.parametrize("others", [1, 2, 3, 7, 8, 63, 64, 100])
def test_records_among_many_arrays_of_the_same_name_are_read_with_little_said_twice(
    others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours come behind so many others, and hold what is no JSON, which ijson must not stumble over."""
    sizes = sent(monkeypatch)
    group = b'{"other":{"events":[1]}},' * others + b'{"events":[{"a":1},nonsense,{"b":[[[{"events":[2]}'
    body = b'{"x":[%b{}]}' % ((group + b"]]]}]},") * 200)
    found, dead, _, broken = decode(PathDecoder("x.item.events.item"), [body])
    assert found == [{"a": 1}, {"b": [[[{"events": [2]}]]]}] * 200
    assert len(dead) == 200
    assert broken is None
    assert sum(sizes) < 4 * len(body)


_units = st.sampled_from(
    [
        ('{"events": [1, {"events": []}]}', [{"events": []}], 1),
        ('{"other": {"events": [{"a": 2}]}}', [], 0),
        ('{"ev\\u0065nts" : [{"a": 3}, {"events": [4]}]}', [{"a": 3}, {"events": [4]}], 0),
        ('{"events": [{"a": 4}], "deep": [[{"events": [5]}]]}', [{"a": 4}], 0),
        ('"\\", \\"events\\":[ ["', [], 0),
        ('["[", {"events": [{"a": 5}]}]', [], 0),
        ('{"events": [], "events": [{"a": 6}]}', [{"a": 6}], 0),
    ]
)


@given(st.lists(_units, max_size=40), st.lists(st.integers(0, 2_000), max_size=4))
@settings(max_examples=examples(200), deadline=None)
def test_only_the_arrays_at_the_path_are_read_among_any_others_however_cut(
    units: list[tuple[str, list[Any], int]], points: list[int]
) -> None:
    body = f'{{"x": [{", ".join(text for text, _, _ in units)}{", " * bool(units)}{{"events": []}}], "events": [7]}}'
    ours, bad = [record for _, found, _ in units for record in found], sum(number for _, _, number in units)
    for chunks in ([body.encode()], cuts(body.encode(), points), single_bytes(body.encode())):
        found, dead, count, broken = decode(PathDecoder("x.item.events.item"), chunks)
        assert (found, len(dead), count, broken) == (ours, bad, len(ours) + bad, None)


@pytest.mark.parametrize("number", [b"1e99999999999999999999", b"-1E-99999999999999999999"])
def test_a_number_out_of_all_range_around_the_records_is_a_reason_and_no_crash(number: bytes) -> None:
    broken = decode(PathDecoder("events.item"), [b'{"x": %b, "events": [{"a": 1}]}' % number])[3]
    assert broken is not None
    assert "exponent" in broken.reason
    inside = b'{"x": [%b], "events": [{"a": %b}]}' % (b'{"events": [1]},' * 9 + b"0", number)
    assert decode(PathDecoder("events.item", bytes), [inside])[0] == [b'{"a": %b}' % number]
