"""XML from outside: what can hurt is refused by name, what is merely unusual is read."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.elmo.conformance import result
from connectors.elmo.results import awards
from connectors.sdk.xml.document import MAX_DEPTH, Node, XmlError, element, parse, serialize

LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<elmo>&c;</elmo>"""
QUADRATIC = (
    f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]><elmo>{"&a;" * 5_000}</elmo>'  # 250 MB written out
)
EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><elmo>&e;</elmo>'
PARAMETER = '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://nowhere.example/x.dtd"> %p;]><elmo/>'
REMOTE = '<!DOCTYPE elmo SYSTEM "http://nowhere.example/elmo.dtd"><elmo/>'
INCLUDE = '<elmo xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/etc/passwd" parse="text"/></elmo>'
HEAD = '<?xml version="1.0" encoding="{}"?><elmo><title>{}</title></elmo>'


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (LAUGHS, "XML_DOCTYPE"),
        (QUADRATIC, "XML_DOCTYPE"),
        (EXTERNAL, "XML_DOCTYPE"),
        (PARAMETER, "XML_DOCTYPE"),
        (REMOTE, "XML_DOCTYPE"),
        (INCLUDE, "XML_INCLUDE"),
        ("<a>" * 100_000, "XML_TOO_DEEP"),
        (f"{'<a>' * (MAX_DEPTH + 1)}{'</a>' * (MAX_DEPTH + 1)}", "XML_TOO_DEEP"),
        ("", "XML_TRUNCATED"),
        (" \n", "XML_TRUNCATED"),
        ("<elmo><report>", "XML_TRUNCATED"),
        ("<elmo><report attr='", "XML_TRUNCATED"),
        ("<elmo><![CDATA[never ends", "XML_TRUNCATED"),
        ("<?xml version='1.0'?>", "XML_TRUNCATED"),
        ("<elmo></report>", "XML_MALFORMED"),
        ("<elmo>&unknown;</elmo>", "XML_MALFORMED"),
        ("<elmo/><elmo/>", "XML_MALFORMED"),
        ("no xml at all", "XML_MALFORMED"),
        ("<elmo><p:x/></elmo>", "XML_MALFORMED"),
    ],
)
def test_what_can_hurt_or_is_broken_is_refused_by_name(document, code):
    """An operator sees what is wrong with which document and line; a bomb must not get as far as memory."""
    with pytest.raises(XmlError) as caught:
        parse(document.encode(), "results.xml")
    assert caught.value.code == code
    assert str(caught.value).startswith("results.xml")
    assert caught.value.brief == code


def test_a_document_above_the_limit_is_not_even_looked_at():
    """Whoever can put files there must not fill the memory."""
    with pytest.raises(XmlError, match="1025 bytes; at most 1024"):
        parse(b"<" * 1025, "big.xml", max_bytes=1024)


def test_a_document_as_deep_as_the_limit_is_read():
    """The limit is for what nobody writes."""
    root = parse(("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH).encode(), "deep.xml")
    assert root.name == "a"


@pytest.mark.parametrize(
    ("codec", "declared"),
    [
        ("utf-8", "UTF-8"), ("utf-8-sig", "utf-8"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"),
        ("gb18030", "GB18030"), ("gbk", "GBK"), ("gb2312", "gb2312"), ("big5", "Big5"),
    ],
)  # fmt: skip
def test_every_encoding_that_campuses_write_is_read(codec, declared):
    """Older Chinese systems write GBK; Windows writes byte order marks and UTF-16."""
    text = "高等数学" if codec != "big5" else "高等數學"
    assert parse(HEAD.format(declared, text).encode(codec), "x").value("title") == text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEAD.format("UTF-8", "高等数学").encode("gbk"), "says utf-8, and byte 51"),
        (HEAD.format("UTF-8", "é").encode("latin-1"), "says utf-8"),
        (HEAD.format("UTF-16", "x").encode("utf-8"), "not in the encoding it declares"),
        (HEAD.format("EBCDIC-XY", "x").encode("utf-8"), "nobody reads here"),
        (HEAD.format("Shift_JIS", "x").encode("shift_jis"), "nobody reads here"),
        (HEAD.format("UTF-32", "x").encode("utf-32"), "UTF-32"),
        (HEAD.format("GBK", "x").encode().replace(b">x<", b">\xff<"), "says gbk"),
    ],
)
def test_a_document_in_another_encoding_than_it_says_is_refused(data, said):
    """Read anyway, names and titles would go wrong silently, and nobody could tell afterwards."""
    with pytest.raises(XmlError, match=said) as caught:
        parse(data, "x.xml")
    assert caught.value.code == "XML_ENCODING"


def test_a_document_that_ends_within_a_character_is_truncated():
    """A file that is still being written is no wrong encoding."""
    whole = HEAD.format("UTF-8", "高").encode()
    with pytest.raises(XmlError) as caught:
        parse(whole[: whole.index("高".encode()) + 2], "x.xml")
    assert caught.value.code == "XML_TRUNCATED"


def test_elements_are_known_by_namespace_and_never_by_prefix():
    """Prefixes are the writer's taste; an element of a foreign namespace is another thing of the same name."""
    root = parse(
        b'<p:a xmlns:p="urn:one" xmlns:q="urn:one" xmlns:other="urn:two">'
        b"<other:b>no</other:b><q:b>yes</q:b><b>no</b></p:a>",
        "x",
    )
    assert (root.namespace, root.value("b")) == ("urn:one", "yes")


def test_text_is_read_as_the_standard_has_it():
    """CDATA, character references and comments inside a text are only ways to write it."""
    root = parse(b"<a><t> The &lt;b<![CDATA[r>]]> in<!-- not --> &#x5b66; </t></a>", "x")
    assert root.value("t") == "The <br> in 学"


def test_a_module_is_not_told_once_more_beside_its_courses():
    """Its credits are theirs: counted twice, a student would have twice as many."""
    inner = result(1).decode()
    inner = inner[inner.index("<learningOpportunitySpecification>") : inner.index("<issueDate>")]
    module = inner.replace(">1</identifier>", ">M</identifier>").replace(">Course<", ">Module<")
    end = "</learningOpportunitySpecification>"
    whole = (
        result(1).decode().replace(inner, module.replace(end, f"<hasPart>{inner}</hasPart>{end}"))
    )
    found = awards(parse(whole.encode(), "x"), "x", "", key=b"k")
    assert [award["course"]["code"] for award in found] == ["1"]


TEXTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"),
    max_size=20,
)
NAMES = st.sampled_from(["report", "title", "learning-opportunity", "课程"])
NODES = st.recursive(
    st.builds(lambda n, t, a: element(n, t, lang="zh", one=a), NAMES, TEXTS, TEXTS),
    lambda inner: st.builds(
        lambda n, c, ns: element(n, *c, namespace=ns),
        NAMES,
        st.lists(inner, min_size=1, max_size=4),
        st.sampled_from(["urn:one", "urn:two"]),
    ),
    max_leaves=12,
)


def plain(node: Node, namespace: str = ""):
    own = node.namespace or namespace
    text = "" if node.children else node.text
    return node.name, own, dict(node.attributes), node.lang, text, [plain(c, own) for c in node.children]  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NODES)
def test_what_is_written_is_read_as_it_was(node):
    """Titles hold ampersands, quotes and angle brackets; none of them may change the document."""
    assert plain(parse(serialize(node, "x"), "x")) == plain(node)


@pytest.mark.parametrize("text", ["a\x00b", "a\x0bb", "a\ufffeb"])
def test_a_text_that_no_xml_can_hold_is_refused_by_name(text):
    """Dropped silently, the document would say something else than the event."""
    with pytest.raises(XmlError, match=r"title holds the character U\+") as caught:
        serialize(element("title", text), "credit.awarded")
    assert caught.value.code == "XML_CHARACTER"
