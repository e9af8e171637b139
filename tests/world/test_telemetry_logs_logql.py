"""LogQL: the parser's complaints, stages, aggregations, and hostile queries."""

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedrill.world.telemetry.logs import Memory
from firedrill.world.telemetry.logs.logql import (
    Engine,
    Found,
    LimitError,
    Limits,
    LogQLError,
    Matrix,
    ParseError,
    PipelineError,
    Scalar,
    parse,
    parse_matchers,
    regex,
)
from firedrill.world.telemetry.logs.logql.functions import Context
from firedrill.world.telemetry.logs.logql.template import TemplateError, compile_template
from firedrill.world.telemetry.logs.logql.units import (
    duration_of,
    go_duration,
    go_duration_text,
    humanized_bytes,
    sample_text,
)

S = 10**9


def _json_line(i: int) -> str:
    level = "error" if i % 5 == 0 else "info"
    rest = '"in":{"x":1.50,"l":[1,2.0]},"ok":true,"none":null}'
    return f'{{"level":"{level}","msg":"hi {i}","ms":{i * 3},{rest}'


def _logfmt_line(i: int) -> str:
    return f'level=info dur={i}ms size={i}KB msg="a \\"b\\"" ip=10.0.0.{i % 4} empty='


SOURCE = Memory(
    [
        ({"app": "cart", "namespace": "shop"}, [(i * S, _json_line(i)) for i in range(100)]),
        ({"app": "web", "namespace": "shop"}, [(i * S + 5, _logfmt_line(i)) for i in range(100)]),
        (
            {"app": "proxy", "namespace": "edge"},
            [
                (50 * S, '10.1.2.3 - - [x] "GET /a?b=1 HTTP/1.1" 200 512'),
                (51 * S, "\x1b[31mred\x1b[0m plain"),
            ],
        ),
    ]
)


def parsed(query: str) -> Any:
    return parse(query)


def logs(
    query: str, limit: int = 100, start: int = 0, end: int = 200 * S, backward: bool = True
) -> list[Found]:
    return Engine(SOURCE).logs(parsed(query), start, end, limit, backward=backward)


def texts(query: str, **more: Any) -> list[str]:
    return [one.text for one in logs(query, **more)]


def metric(query: str, start: int = 50 * S, end: int = 50 * S, step: int = S) -> Any:
    found = Engine(SOURCE).metric(parsed(query), start, end, step)
    if isinstance(found, Scalar):
        return found.value
    return {
        tuple(f"{k}={v}" for k, v in labels): [v if p else None for v, p in zip(row, there, strict=True)]
        for labels, row, there in zip(
            found.labels, found.values.tolist(), found.present.tolist(), strict=True
        )
    }


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ('{foo="bar"', "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"),
        ('{foo="bar}', "parse error at line 1, col 6: literal not terminated"),
        (
            '{foo="bar"} |~',
            "parse error at line 1, col 15: syntax error: unexpected $end, expecting STRING or ip",
        ),
        ('{foo="bar"} "foo"', "parse error at line 1, col 13: syntax error: unexpected STRING"),
        ('{foo="bar"} foo', "parse error at line 1, col 13: syntax error: unexpected IDENTIFIER"),
        ('{foo="bar"} |', "parse error at line 1, col 14: syntax error: unexpected $end"),
        ("{foo=bar}", "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER, expecting STRING"),
        ("{", "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        ("", "parse error at line 1, col 1: syntax error: unexpected $end"),
        ('unk({ foo = "bar" }[5m])', "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        ('min({ foo = "bar" }[5m])', "parse error at line 0, col 20: syntax error: unexpected RANGE"),
        ('rate({ foo = "bar" }[5)', "parse error at line 0, col 21: missing closing ']' in duration"),
        (
            'rate({ foo = "bar" }[5minutes])',
            'parse error at line 0, col 21: unknown unit "minutes" in duration "5minutes"',
        ),
        (
            'absent_over_time({ foo = "bar" }[5h]) by (foo)',
            "parse error : grouping not allowed for absent_over_time aggregation",
        ),
        (
            'label_replace(rate({ foo = "bar" }[5m]),"")',
            "parse error at line 1, col 43: syntax error: unexpected ), expecting ,",
        ),
        (
            '{ foo = "bar" }|logfmt|addr>=ip("1.2.3.4")',
            "parse error at line 1, col 30: syntax error: unexpected ip",
        ),
        ('sum_over_time({a="b"}[1m])', "parse error : invalid aggregation sum_over_time without unwrap"),
        ('bytes_rate({a="b"} | unwrap x [1m])', "parse error : invalid aggregation bytes_rate with unwrap"),
        ('topk(count_over_time({a="b"}[1m]))', "parse error : parameter required for operation topk"),
        ('topk(0, rate({a="b"}[1m]))', "parse error : invalid parameter (must be greater than 0) topk(0"),
        ('sum(3, rate({a="b"}[1m]))', "parse error : unsupported parameter for operation sum(3,"),
        ('rate(3, {a="b"}[1m])', "parse error : parameter 3 not supported for operation rate"),
        ('{a="b"} |~ "[a"', "parse error : error parsing regexp: missing closing ]: `[a`"),
        ('{a="b"} |~ "(a"', "parse error : error parsing regexp: missing closing ): `(a`"),
        (
            '{a="b"} |~ "*"',
            "parse error : error parsing regexp: missing argument to repetition operator: `*`",
        ),
        (r'{a="b"} |~ "\\q"', r"parse error : error parsing regexp: invalid escape sequence: `\q`"),
        ('{a="b"} | regexp "a"', "parse error : at least one named capture must be supplied"),
        (
            '{a="b"} | pattern "<a><b>"',
            "parse error : invalid pattern: found consecutive capture '<a><b>': invalid expression",
        ),
        ('{a="b"} | pattern "<_>"', "parse error : invalid pattern: at least one capture is required"),
        (
            '{a="b"} | label_format x=y, x=z',
            "parse error : multiple label name 'x' not allowed in a single format operation",
        ),
        (
            '{a="b"} | line_format "{{.x"',
            "parse error : invalid line template: template: line:1: unclosed action",
        ),
        (
            '{a="b"} | line_format "{{nope .x}}"',
            'parse error : invalid line template: template: line:1: function "nope" not defined',
        ),
    ],
)
def test_complaints_are_lokis(query: str, complaint: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(query)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("query", ["{}", '{a=""}', '{a=~".*"}', '{a!="x"}', 'rate({a=~"x*"}[1m])'])
def test_selectors_must_select(query: str) -> None:
    with pytest.raises(ParseError, match="at least one regexp or equality matcher"):
        parse(query)


@pytest.mark.parametrize("query", ['{a="x"}', '{a=~".+"}', '{a!=""}', '{a="x",b=~".*"}', '({a="x"} |= "y")'])
def test_selectors_that_select(query: str) -> None:
    assert parse(query)


def test_matchers_of_series_take_no_stages() -> None:
    assert len(parse_matchers('{a="b", c!~"d.*"}')) == 2
    with pytest.raises(ParseError, match="only label matchers is supported"):
        parse_matchers('{a="b"} |= "c"')


def test_line_filters() -> None:
    assert texts('{app="cart"} |= "hi 99"') == [_json_line(99)]
    assert len(texts('{app="cart"} |= "hi 9" != "hi 99"')) == 10
    assert len(texts('{app="cart"} |~ "hi (98|99)\\""')) == 2
    assert len(texts('{app="cart"} !~ "hi [0-9]+"')) == 0
    assert len(texts('{app="cart"} |= "hi 98" or "hi 99"')) == 2
    assert len(texts('{app="cart"} != "hi 98" or "hi 99"')) == 98
    assert len(texts('{app="web"} |= ip("10.0.0.2")')) == 25
    assert len(texts('{app="web"} |= ip("10.0.0.0/31")')) == 50
    assert len(texts('{app="web"} != ip("10.0.0.1-10.0.0.3")')) == 25
    assert texts('{app="proxy"} |> "<_> - - <_>GET<_>"') == ['10.1.2.3 - - [x] "GET /a?b=1 HTTP/1.1" 200 512']
    assert texts('{app="proxy"} !> "<_> - - <_>GET<_>" | decolorize') == ["red plain"]


def test_parsers_make_labels() -> None:
    (one,) = logs('{app="cart"} |= "hi 99" | json')
    known = dict(one.labels)
    assert known["level"] == "info"
    assert known["ms"] == "297"
    assert known["in_x"] == "1.50"
    assert known["ok"] == "true"
    assert "none" not in known
    assert "in_l" not in known
    assert one.known.parsed == {"level", "msg", "ms", "in_x", "ok"}
    (one,) = logs('{app="cart"} |= "hi 99" | json second="in.l[1]", whole="in", none="a.b"')
    assert {"second": "2.0", "whole": '{"x":1.50,"l":[1,2.0]}'}.items() <= dict(one.labels).items()
    assert "none" not in dict(one.labels)
    (one,) = logs('{app="web"} |= "dur=7ms" | logfmt')
    assert {"dur": "7ms", "msg": 'a "b"', "ip": "10.0.0.3"}.items() <= dict(one.labels).items()
    assert "empty" not in dict(one.labels)
    (one,) = logs('{app="web"} |= "dur=7ms" | logfmt d="dur", m="msg"')
    assert {"d": "7ms", "m": 'a "b"'}.items() <= dict(one.labels).items()
    assert "ip" not in dict(one.labels)
    (one,) = logs('{app="proxy"} |= "GET" | pattern `<ip> - - <_> "<method> <path> <_>" <status> <size>`')
    assert {"ip": "10.1.2.3", "path": "/a?b=1", "status": "200", "size": "512"}.items() <= dict(
        one.labels
    ).items()
    (one,) = logs('{app="proxy"} |= "GET" | regexp `"(?P<verb>\\w+) (?P<path>\\S+)`')
    assert {"verb": "GET", "path": "/a?b=1"}.items() <= dict(one.labels).items()


def test_what_no_json_is_gets_an_error_label() -> None:
    (one,) = logs('{app="web"} |= "dur=7ms" | json')
    assert dict(one.labels)["__error__"] == "JSONParserErr"
    assert texts('{app="web"} | json | __error__=""') == []
    assert texts('{app="web"} | json | drop __error__ |= "dur=7ms"') != []


def test_parsed_labels_do_not_cover_the_streams() -> None:
    source = Memory([({"app": "a"}, [(1, "app=b x=1")])])
    (one,) = Engine(source).logs(parsed('{app="a"} | logfmt'), 0, 10)
    assert dict(one.labels)["app"] == "a"
    assert dict(one.labels)["app_extracted"] == "b"


def test_unpack() -> None:
    source = Memory([({"app": "a"}, [(1, '{"pod":"p","n":3,"_entry":"the line"}')])])
    (one,) = Engine(source).logs(parsed('{app="a"} | unpack'), 0, 10)
    assert one.text == "the line"
    assert dict(one.labels)["pod"] == "p"


def test_label_filters() -> None:
    assert len(texts('{app="web"} | logfmt | dur > 97ms')) == 2
    assert len(texts('{app="web"} | logfmt | dur > 97ms or size < 1KB')) == 3
    assert len(texts('{app="web"} | logfmt | dur >= 97ms and size <= 97KB')) == 1
    assert len(texts('{app="web"} | logfmt | dur >= 97ms, size <= 97KB')) == 1
    assert len(texts('{app="cart"} | json | ms = 30')) == 1
    assert len(texts('{app="cart"} | json | ms != 30 | level =~ "err.*"')) == 19
    assert len(texts('{app="web"} | logfmt | ip = ip("10.0.0.2")')) == 25
    assert len(texts('{app="cart"} | json | (level="error" or ms=3) and ms < 20')) == 3
    assert len(texts('{app="cart"} | detected_level="error"')) == 20
    (one,) = logs('{app="cart"} |= "hi 99" | json | msg > 3')
    assert dict(one.labels)["__error__"] == "LabelFilterErr"


def test_formats() -> None:
    assert texts('{app="cart"} |= "hi 99" | json | line_format "{{.msg | ToUpper}} {{.ms}}"') == ["HI 99 297"]
    (one,) = logs('{app="cart"} |= "hi 99" | json | label_format text=msg, sum="{{add .ms 1}}"')
    assert {"text": "hi 99", "sum": "298"}.items() <= dict(one.labels).items()
    assert "msg" not in dict(one.labels)
    (one,) = logs('{app="cart"} |= "hi 99" | json | keep app, level=~"inf.*"')
    assert dict(one.labels) == {"app": "cart", "level": "info"}
    (one,) = logs('{app="cart"} |= "hi 99" | drop app, namespace="other"')
    assert dict(one.labels) == {"namespace": "shop", "detected_level": "info"}


def test_order_and_limit() -> None:
    newest = logs('{namespace="shop"}', limit=3)
    assert [one.at for one in newest] == [99 * S + 5, 99 * S, 98 * S + 5]
    oldest = logs('{namespace="shop"}', limit=3, backward=False)
    assert [one.at for one in oldest] == [0, 5, S]
    assert [one.at for one in logs('{app="cart"}', start=10 * S, end=12 * S)] == [11 * S, 10 * S]
    spaced = Engine(SOURCE).logs(parsed('{app="web"}'), 0, 100 * S, 100, interval=10 * S)
    assert len(spaced) == 10


def test_counts_and_rates() -> None:
    assert metric('sum(count_over_time({app="cart"}[10s]))') == {(): [10.0]}
    assert metric('sum by (level) (count_over_time({app="cart"} | json [10s]))') == {
        ("level=error",): [2.0],
        ("level=info",): [8.0],
    }
    assert metric('sum(rate({app="cart"}[20s]))') == {(): [1.0]}
    assert metric('sum(bytes_over_time({app="cart"} |= "hi 50" [20s]))') == {(): [float(len(_json_line(50)))]}
    assert metric('sum(count_over_time({app="cart"}[10s] offset 45s))') == {(): [6.0]}


@pytest.mark.parametrize("operation", ["count_over_time", "rate", "bytes_over_time", "bytes_rate"])
@pytest.mark.parametrize("step", [1, 7, 30])
def test_sums_of_counts_are_the_same_however_they_are_counted(operation: str, step: int) -> None:
    for by in ("", "by (app)", "by (app, namespace)"):
        quick = f'sum {by} ({operation}({{namespace=~".+"}} |~ "[13579]" [5s]))'
        close = f'sum {by} ({operation}({{namespace=~".+"}} |~ "[13579]" | app!="" [5s]))'
        found = metric(quick, 10 * S, 120 * S, step * S)
        other = metric(close, 10 * S, 120 * S, step * S)
        assert found.keys() == other.keys() != set()
        for key, values in found.items():
            assert values == pytest.approx(other[key])


def test_steps_without_lines_have_no_value() -> None:
    found = metric('sum(count_over_time({app="cart"}[10s]))', 99 * S, 115 * S, 8 * S)
    assert found == {(): [10.0, 2.0, None]}


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        ("sum_over_time", sum(range(41, 51)) / 1000),
        ("avg_over_time", 0.0455),
        ("min_over_time", 0.041),
        ("max_over_time", 0.05),
        ("first_over_time", 0.041),
        ("last_over_time", 0.05),
        ("stddev_over_time", 0.00287228),
    ],
)
def test_unwrapped(operation: str, value: float) -> None:
    query = f'{operation}({{app="web"}} | logfmt | keep app, dur | unwrap duration(dur) [10s])'
    found = metric(f"sum({query})", 51 * S, 51 * S)
    assert found[()][0] == pytest.approx(value, rel=1e-5)


def test_unwrapped_sizes_quantiles_and_counters() -> None:
    query = 'quantile_over_time(0.5, {app="web"} | logfmt | unwrap bytes(size) [10s]) by (app)'
    assert metric(query, 51 * S, 51 * S) == {("app=web",): [45500.0]}
    counter = Memory([({"a": "b"}, [(i * S, f"n={v}") for i, v in enumerate([1, 5, 9, 2, 4])])])
    found = Engine(counter).metric(parsed('rate_counter({a="b"} | logfmt | unwrap n [10s])'), 5 * S, 5 * S, S)
    assert isinstance(found, Matrix)
    assert found.values.tolist() == [[1.2]]  # 4 + 4, then from zero 2 + 2


def test_a_metric_query_stops_at_what_it_cannot_read() -> None:
    with pytest.raises(PipelineError, match="pipeline error: 'SampleExtractionErr' for series:"):
        metric('sum_over_time({app="web"} | logfmt | unwrap msg [10s])')
    assert metric('sum(sum_over_time({app="web"} | logfmt | unwrap msg | __error__="" [10s]))') == {}


def test_vector_operations() -> None:
    assert metric('topk(1, sum by (app) (bytes_rate({namespace="shop"}[10s])))').keys() == {("app=cart",)}
    assert metric('bottomk(1, sum by (app) (bytes_rate({namespace="shop"}[10s])))').keys() == {("app=web",)}
    assert metric('count(sum by (app) (rate({namespace="shop"}[10s])))') == {(): [2.0]}
    ratio = 'sum(rate({app="cart"} |= "error" [20s])) / sum(rate({app="cart"}[20s])) * 100'
    assert metric(ratio)[()][0] == pytest.approx(20.0)
    assert metric('sum by (app) (rate({namespace="shop"}[10s])) > 2') == {}
    assert metric('sum by (app) (rate({namespace="shop"}[10s])) > bool 2') == {
        ("app=cart",): [0.0],
        ("app=web",): [0.0],
    }
    assert metric(
        'sum by (app) (rate({app="cart"}[10s])) or sum by (app) (rate({app="web"}[10s]))'
    ).keys() == {
        ("app=cart",),
        ("app=web",),
    }
    assert metric('sum by (app) (rate({app="cart"}[9s])) unless sum by (app) (rate({app="cart"}[10s]))') == {}
    joined = (
        'sum by (app, level) (count_over_time({app="cart"} | json [10s]))'
        ' / on (app) group_left sum by (app) (count_over_time({app="cart"}[10s]))'
    )
    assert metric(joined) == {("app=cart", "level=error"): [0.2], ("app=cart", "level=info"): [0.8]}
    with pytest.raises(LogQLError, match="must be explicit"):
        metric(joined.replace(" group_left", ""))


def test_numbers_and_replaced_labels() -> None:
    assert metric("vector(1)+vector(1)") == {(): [2.0]}
    assert metric("1 + -2 / 1") == -1.0
    assert metric("2 ^ 3 ^ 2") == 512.0
    assert metric("(1 + 2) * 3 > 8") == 1.0
    assert math.isnan(metric("1 / 0"))
    replaced = 'label_replace(sum by (app) (rate({app="cart"}[10s])), "first", "$1-$2", "app", "(.)(.).*")'
    assert metric(replaced) == {("app=cart", "first=c-a"): [1.0]}
    assert metric('absent_over_time({app="gone", x=~"y"}[10s])') == {("app=gone",): [1.0]}
    assert metric('absent_over_time({app="cart"}[10s])') == {}


def test_far_and_empty_ranges() -> None:
    assert metric('sum(count_over_time({app="cart"}[70y] offset 70y))') == {}
    assert metric('sum(rate({app="cart"}[0s]))') == {}
    assert metric('sum(count_over_time({app="cart"}[70y]))') == {(): [51.0]}
    with pytest.raises(ParseError, match="duration out of range"):
        metric('sum(count_over_time({app="cart"}[90y]))')


def test_limits() -> None:
    engine = Engine(SOURCE, limits=Limits(series=1, read=150))
    with pytest.raises(LimitError, match=r"maximum number of series \(1\) reached"):
        engine.metric(parsed('sum by (app) (rate({namespace="shop"}[10s]))'), 50 * S, 50 * S, S)
    with pytest.raises(LimitError, match="too many bytes"):
        engine.logs(parsed('{namespace="shop"} |= "nothing"'), 0, 200 * S)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.a}} {{ .missing }}|", "x |"),
        ('{{if eq .a "x"}}yes{{else if .b}}b{{else}}no{{end}}', "yes"),
        ('{{if and .b (ne .a "x")}}yes{{else}}no{{end}}', "no"),
        ("{{with .b}}[{{.}}]{{end}}{{with .missing}}never{{end}}", "[2]"),
        ("{{range $i := fromJson .list}}<{{$i}}>{{end}}", "<1><2>"),
        ("{{$v := .b}}{{$v}}{{$v}}", "22"),
        ("a {{- .a -}} b", "axb"),
        ("{{/* nothing */}}k", "k"),
        ('{{ printf "%5d|%-4s|%04d|%.2f|%q|%%" 3 "ab" 7 1.5 "z" }}', '    3|ab  |0007|1.50|"z"|%'),
        ('{{ .a | upper | printf "%s!" }}', "X!"),
        ("{{ __line__ | trunc 3 }} {{ __timestamp__ | unixEpoch }}", "the 1767603600"),
        ('{{ __timestamp__ | date "Mon Jan _2 15:04:05.000 MST 2006" }}', "Mon Jan  5 09:00:00.123 UTC 2026"),
        ('{{ toDate "2006-01-02 15:04:05" "2026-01-05 09:00:00" | unixEpochMillis }}', "1767603600000"),
        ('{{ regexReplaceAll "(t)(h)e" __line__ "${2}$1" }}', "ht line"),
        ('{{ default "d" .missing }}{{ default "d" .a }}', "dx"),
        (
            "{{ add 1 2 .b }} {{ div 7 2 }} {{ mulf 1.5 2 }} {{ round 3.14159 2 }} {{ max 1 .b }}",
            "5 3 3 3.14 2",
        ),
        ('{{ bytes "2KB" }} {{ duration "1500ms" }} {{ "a b" | urlencode }}', "2000 1.5 a+b"),
        ('{{ index (fromJson .map) "k" }}', "v"),
        ('{{ .a | repeat 3 }}{{ "ab" | b64enc | b64dec }}{{ alignRight 3 "abcd" }}', "xxxabbcd"),
        ("{{ len .a }} {{ not true }} {{ lt 1 2 }} {{ print 1 .a }}", "1 false true 1x"),
    ],
)
def test_templates(template: str, text: str) -> None:
    labels = {"a": "x", "b": "2", "list": "[1,2]", "map": '{"k":"v"}'}
    context = Context("the line", 1767603600123 * 10**6, labels, 0)
    assert compile_template(template).execute(context) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ repeat 99999999 `aaaaaaaa` }}",
        '{{ repeat 9999 "aaaaaaaaaa" | replace "" (repeat 999 "bbbbbbb") }}',
        '{{ regexReplaceAll "" (repeat 9999 "aaaaaaaaaa") (repeat 999 "bbbbbbb") }}',
        '{{ indent 1000 (repeat 9999 "\\n") }}',
        '{{ $x := repeat 9999 "aaaaaaaaaa" }}{{ print $x $x $x }}',
        '{{ $x := repeat 9999 "aaaaaaaaaa" }}{{ printf "%s%s%s" $x $x $x }}',
        '{{ date "2006" 5 }}',
        '{{ toDate "2006-13" "2006-13" }}',
        "{{ div 1 0 }}",
        "{{ range .a }}{{ end }}",
        "{{ .a.b.c }}",
        "{{ regexReplaceAll `(` .a `b` }}",
        "{{ fromJson .a }}",
        "{{ eq 1 `a` }}",
        "{{ $x }}",
        "{{ add1 }}",
    ],
)
def test_templates_that_fail_say_so(template: str) -> None:
    with pytest.raises(TemplateError):
        compile_template(template).execute(Context("l", 0, {"a": "x"}, 0))


def test_padding_is_bounded() -> None:
    text = compile_template('{{ printf "%999999999d" 1 }}').execute(Context("l", 0, {}, 0))
    assert len(text) == 1000


def test_hostile_expressions_take_linear_time() -> None:
    begin = time.process_time()
    assert regex.compiled("(a+)+$").search("a" * 20_000 + "b") is None
    assert regex.compiled("(x|xx)*y").search("x" * 20_000) is None
    with pytest.raises(ValueError, match=r"too large|repeat"):
        regex.compiled("((a{100}){100}){100}")
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "query",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "sum(" * 2000,
        '{a="b"} | ' + "(" * 3000 + "x=1",
        '{a="b"} | line_format "' + "{{if .a}}" * 500 + '"',
        '{a="b"} | line_format "{{' + "(" * 500 + '"',
        "1" + "+1" * 3000,
        '{a="b"} |= "' + "x" * 200_000 + '"',
    ],
)
def test_deep_and_long_queries_are_refused_or_answered(query: str) -> None:
    try:
        parse(query)
    except LogQLError:
        return
    assert query.startswith("1+1")


@given(st.text(alphabet='{}()[]|=~!<>"`\\ \nabx1.5,msKB#-+*/%^orjsunwap', max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_parses_or_is_refused(text: str) -> None:
    for query in (text, '{a="b"} | ' + text, f'rate({{a="b"}} {text} [1m])'):
        try:
            parse(query)
        except LogQLError as error:
            assert str(error)


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_parsers_take_any_line(line: str) -> None:
    engine = Engine(Memory([({"a": "b"}, [(1, line), (2, "{" + line), (3, f'a="{line}" b={line}')])]))
    for stage in (
        "json",
        "logfmt",
        "logfmt --strict",
        "unpack",
        "pattern `<x> <y>`",
        'json z="a.b[0]"',
        "decolorize",
    ):
        engine.logs(parsed('{a="b"} | ' + stage + ' | line_format "{{.x}}{{.z | trunc 3}}"'), 0, 10)


@given(st.integers(min_value=0, max_value=10**16))
def test_durations_go_there_and_back(ns: int) -> None:
    assert go_duration(go_duration_text(ns)) == ns


def test_units() -> None:
    assert duration_of("1h30m") == 5400 * S
    assert duration_of("1.5s") == 1_500_000_000
    assert duration_of("5d") == 432_000 * S
    assert humanized_bytes("1.5KiB") == 1536
    assert humanized_bytes("20MB") == 20_000_000
    assert sample_text(0.1) == "0.1"
    assert sample_text(1e21) == "1" + "0" * 21
    assert sample_text(1e-7) == "0.0000001"
    assert sample_text(float("inf")) == "+Inf"
    for wrong in ("5", "5x", "", "s", "1h 2m"):
        with pytest.raises(ValueError):
            duration_of(wrong)
