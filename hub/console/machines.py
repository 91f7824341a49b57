"""Tables of lives as pictures: a small layered layout, and the SVG of it. No library; the page allows no style either.

States stand in layers, top to bottom, each below every state that leads to it; steps that lead back are left out of
that and drawn upwards. Between two layers of states is one of labels. Arrows with the same label to the same state
run together. What a reader needs to know of a machine is in its table, too, which the page prints beneath.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from hub.console.words import gloss, word
from hub.domain.life import CLOCK, START, Machine, Step
from hub.events.reference import actors, turn

# Units of the drawing are CSS pixels at natural size. Widths of letters are those of common fonts, a little generous.
CODE_PX, WORD_PX, CJK_PX = 7.3, 6.1, 11.5
LINE, PAD = 14.0, 7.0
BETWEEN, BETWEEN_LINES = 16.0, 12.0  # beside a box or a label; beside a line passing through
PORT = 15.0
SWEEPS, SETTLES = 24, 120  # more changes no picture of ours
STIFF = (
    1.0,
    1.5,
    12.0,
)  # how hard neighbors pull, by how many of the two are on the way between states

BROAD = 400.0  # pictures above are not shrunk to the width of a phone, they scroll

Key = tuple[str, ...]  # of a node


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text: a `code` of the contract or words for people."""

    said: str
    code: bool = False
    kind: str = "quiet"

    @property
    def width(self) -> float:
        wide = sum(unicodedata.east_asian_width(one) in "WF" for one in self.said)
        return wide * CJK_PX + (len(self.said) - wide) * (CODE_PX if self.code else WORD_PX)


@dataclass(slots=True)
class Node:
    """Something with a place in a layer: a state, a label, the beginning, or a line passing through (no texts)."""

    key: Key
    row: int
    texts: tuple[Text, ...] = ()
    loop: tuple[Text, ...] = ()  # label of steps from a state to itself, to the right of its box
    x: float = 0.0

    @property
    def is_state(self) -> bool:
        return self.key[0] == "state"

    @property
    def width(self) -> float:
        if not self.texts:
            return 8.0 if self.key[0] == "begin" else 2.0
        widest = max(text.width for text in self.texts)
        return widest + (2 * PAD + 8 if self.is_state else 6.0)

    @property
    def height(self) -> float:
        if not self.texts:
            return 8.0 if self.key[0] == "begin" else 0.0
        return len(self.texts) * LINE + (2 * PAD if self.is_state else 4.0)

    @property
    def right(self) -> float:
        """From its middle to the end of what belongs to it."""
        beside = max((text.width for text in self.loop), default=-24.0) + 24.0
        return self.width / 2 + beside

    def apart(self, other: Node) -> float:
        """The least distance to the middle of its neighbor on the right."""
        gap = BETWEEN if self.texts and other.texts else BETWEEN_LINES
        return self.right + gap + other.width / 2


@dataclass(slots=True)
class Chain:
    """A way down through the layers, node by node. `up`: the arrow is at its upper end."""

    keys: list[Key]
    up: bool = False
    by_clock: bool = False
    head: bool = True  # of arrows that run together, one carries the head


@dataclass(slots=True)
class Layout:
    """Nodes by layer, left to right, and the chains through them."""

    machine: Machine
    lang: str
    nodes: dict[Key, Node] = field(default_factory=dict)
    chains: list[Chain] = field(default_factory=list)
    rows: list[list[Key]] = field(default_factory=list)
    tops: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def svg(machine: Machine, lang: str) -> Markup:
    """The picture of a machine."""
    return _drawn(layout(machine, lang))


def layout(machine: Machine, lang: str) -> Layout:
    """Where everything stands."""
    made = Layout(machine, lang)
    ranks, back = layers(machine)
    _place_states(made, ranks)
    _place_ways(made, ranks, back)
    last = max(node.row for node in made.nodes.values())
    made.rows = [
        [key for key, node in made.nodes.items() if node.row == row] for row in range(last + 1)
    ]
    links = _links(made.chains)
    _order(made, links)
    _settle(made, links)
    _stack(made)
    return made


# --- layers


def layers(machine: Machine) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """The layer of each state, and the ways that lead back.

    A layer is the longest way from the beginning: so a way never runs sideways, and what comes later stands lower.
    Breadth-first, a project that may begin in any state would have all of them in one layer.
    """
    after: dict[str, list[str]] = defaultdict(list)
    for step in machine.steps:
        if step.before not in (START, step.after) and step.after not in after[step.before]:
            after[step.before].append(step.after)
    back: set[tuple[str, str]] = set()
    done: list[str] = []
    path: list[str] = []

    def walk(state: str) -> None:
        path.append(state)
        for following in after[state]:
            if following in path:
                back.add((state, following))
            elif following not in done:
                walk(following)
        path.pop()
        done.append(state)

    for state in (*begins(machine), *machine.states):
        if state not in done:
            walk(state)
    ranks = dict.fromkeys(machine.states, 0)
    for state in reversed(done):
        for following in after[state]:
            if (state, following) not in back:
                ranks[following] = max(ranks[following], ranks[state] + 1)
    return ranks, back


def begins(machine: Machine) -> tuple[str, ...]:
    """States in which a thing may begin; the first of them is where most do."""
    return tuple(dict.fromkeys(step.after for step in machine.steps if step.before == START))


# --- nodes and ways


def _place_states(made: Layout, ranks: dict[str, int]) -> None:
    """Layer 0 is the beginning, 1 its label; a state of rank r is in layer 2r+2."""
    machine, lang = made.machine, made.lang
    first = begins(machine)[:1]
    for state in machine.states:
        texts = [Text(state, code=True, kind="name")]
        if said := gloss(state, lang):
            texts.append(Text(said, kind="said"))
        if whose := turn(machine, state):
            texts.append(Text(f"{word('turn', lang)} {getattr(whose, lang)}", kind="turn"))
        loop = [step for step in machine.steps if step.before == step.after == state]
        if (state,) != first:
            texts += [
                Text("● " + _in_words(machine, step, lang, state), kind="quiet")
                for step in machine.steps
                if step.before == START and step.after == state
            ]
        key = ("state", state)
        made.nodes[key] = Node(
            key, 2 * ranks[state] + 2, tuple(texts), tuple(_labels(machine, loop, lang))
        )


def _in_words(machine: Machine, step: Step, lang: str, state: str) -> str:
    by = str(getattr(actors(machine, step), lang))
    return by if step.name == state else f"{step.name} · {by}"


def _labels(machine: Machine, steps: Iterable[Step], lang: str) -> list[Text]:
    """Two lines for each step: its name; in Chinese what that means, and who takes it."""
    texts = []
    for step in steps:
        by = getattr(actors(machine, step), lang)
        said = gloss(step.name, lang)
        texts.append(Text(step.name, code=True, kind="step"))
        texts.append(Text(f"{said} · {by}" if said else by, kind="by"))
    return texts


def _place_ways(made: Layout, ranks: dict[str, int], back: set[tuple[str, str]]) -> None:
    machine = made.machine
    ways: dict[tuple[str, str], list[Step]] = defaultdict(list)
    for step in machine.steps:
        if step.before == START:
            if step.after == begins(machine)[0]:
                ways[START, step.after].append(step)
        elif step.before != step.after:
            ways[step.before, step.after].append(step)
    bundles: dict[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], list[str]] = defaultdict(
        list
    )
    for (before, after), steps in ways.items():
        if (before, after) not in back:
            bundles[after, tuple((step.name, step.by) for step in steps)].append(before)

    crowd: dict[int, float] = defaultdict(float)  # width of the labels in a layer
    jobs = [
        (sorted(sources, key=lambda state: _row(ranks, state)), target, False)
        for (target, _), sources in bundles.items()
    ]
    jobs += [([after], before, True) for before, after in sorted(back)]
    for sources, target, up in sorted(jobs, key=lambda job: _room(ranks, job[0], job[1])):
        steps = ways[(target, sources[0]) if up else (sources[0], target)]
        texts = tuple(_labels(machine, steps, made.lang))
        label = Node(("label", *sources, target, str(up)), 0, texts)
        bottom = _row(ranks, target)
        choice = [bottom - 1] if len(sources) > 1 else range(_row(ranks, sources[0]) + 1, bottom, 2)
        label.row = min(choice, key=lambda row: crowd[row])
        crowd[label.row] += label.width + BETWEEN
        by_clock = all(step.by == (CLOCK,) for step in steps)
        _add_ways(made, ranks, sources, target, label, up=up, by_clock=by_clock)


def _row(ranks: dict[str, int], state: str) -> int:
    return 0 if state == START else 2 * ranks[state] + 2


def _room(ranks: dict[str, int], sources: Sequence[str], target: str) -> int:
    """In how many layers a label could stand: those with the least choice are placed first."""
    return 1 if len(sources) > 1 else _row(ranks, target) - _row(ranks, sources[0])


def _add_ways(
    made: Layout,
    ranks: dict[str, int],
    sources: Sequence[str],
    target: str,
    label: Node,
    *,
    up: bool,
    by_clock: bool,
) -> None:
    """A trunk from the highest source through the label to the target; other sources join it in the layer below them."""
    trunk: list[Key] = []
    for row in range(_row(ranks, sources[0]) + 1, _row(ranks, target)):
        key = label.key if row == label.row else ("line", *label.key, str(row))
        made.nodes[key] = label if row == label.row else Node(key, row)
        trunk.append(key)
    for number, source in enumerate(sources):
        key = ("state", source)
        if source == START:
            key = ("begin",)
            made.nodes[key] = Node(key, 0)
        if number == 0:
            keys = [key, *trunk, ("state", target)]
            made.chains.append(Chain(keys, up=up, by_clock=by_clock))
        else:
            joint = next(k for k in trunk if made.nodes[k].row == _row(ranks, source) + 1)
            made.chains.append(Chain([key, joint], by_clock=by_clock, head=False))


# --- order and places


def _links(chains: Iterable[Chain]) -> list[tuple[Key, Key]]:
    return [pair for chain in chains for pair in pairwise(chain.keys)]


def _order(made: Layout, links: Sequence[tuple[Key, Key]]) -> None:
    """Sort each layer by the middle of its neighbors, down and up, and keep the order with the fewest crossings."""
    above: dict[Key, list[Key]] = defaultdict(list)
    below: dict[Key, list[Key]] = defaultdict(list)
    for upper, lower in links:
        below[upper].append(lower)
        above[lower].append(upper)
    best = [list(row) for row in made.rows]
    least = _crossings(best, below)
    rows = [list(row) for row in best]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for number in range(len(rows)) if down else range(len(rows) - 1, -1, -1):
            beside = number - 1 if down else number + 1
            if 0 <= beside < len(rows):
                place = {key: index for index, key in enumerate(rows[beside])}
                own = {key: index for index, key in enumerate(rows[number])}
                rows[number].sort(key=lambda key: _middle([place[k] for k in near[key]], own[key]))
        _swap_neighbors(rows, above, below)
        count = _crossings(rows, below)
        if count < least:
            least, best = count, [list(row) for row in rows]
    made.rows = best


def _middle(places: Sequence[int], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _swap_neighbors(
    rows: list[list[Key]], above: dict[Key, list[Key]], below: dict[Key, list[Key]]
) -> None:
    """Two neighbors change places where that takes crossings away."""
    for number, row in enumerate(rows):
        upper = {key: i for i, key in enumerate(rows[number - 1])} if number else {}
        lower = {key: i for i, key in enumerate(rows[number + 1])} if number + 1 < len(rows) else {}
        for i in range(len(row) - 1):
            left, right = row[i], row[i + 1]
            sides = ((above, upper), (below, lower))
            now = sum(_pair(near[left], near[right], place) for near, place in sides)
            then = sum(_pair(near[right], near[left], place) for near, place in sides)
            if then < now:
                row[i], row[i + 1] = right, left


def _pair(left: Iterable[Key], right: Sequence[Key], place: dict[Key, int]) -> int:
    """Crossings between the lines of two neighbors towards one side."""
    return sum(place[a] > place[b] for a in left for b in right)


def _crossings(rows: Sequence[Sequence[Key]], below: dict[Key, list[Key]]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {key: index for index, key in enumerate(lower)}
        for i, left in enumerate(upper):
            for right in upper[i + 1 :]:
                total += _pair(below[left], below[right], place)
    return total


def _settle(made: Layout, links: Sequence[tuple[Key, Key]]) -> None:
    """Move nodes towards their neighbors, keeping order and distance; lines that pass through pull hardest."""
    near: dict[Key, list[tuple[Key, float]]] = defaultdict(list)
    for upper, lower in links:
        weight = STIFF[sum(key[0] in ("line", "label") for key in (upper, lower))]
        near[upper].append((lower, weight))
        near[lower].append((upper, weight))
    nodes = made.nodes
    for row in made.rows:
        for left, right in pairwise(row):
            nodes[right].x = nodes[left].x + nodes[left].apart(nodes[right])
    for number in range(SETTLES):
        for row in filter(None, made.rows if number % 2 == 0 else reversed(made.rows)):
            pulls = [sum(weight for _, weight in near[key]) or 0.01 for key in row]
            wanted = [
                sum(nodes[k].x * weight for k, weight in near[key]) / pull
                if near[key]
                else nodes[key].x
                for key, pull in zip(row, pulls, strict=True)
            ]
            _spread([nodes[key] for key in row], wanted, pulls)
    edge = min(node.x - node.width / 2 for node in nodes.values())
    for node in nodes.values():
        node.x = round(node.x - edge + 4.0, 1)
    made.width = max(node.x + node.right for node in nodes.values()) + 4.0


def _spread(row: Sequence[Node], wanted: Sequence[float], pulls: Sequence[float]) -> None:
    """As near as possible to the wanted places, by least squares, without changing the order or coming too close."""
    shift, shifts = 0.0, [0.0]
    for left, right in pairwise(row):
        shift += left.apart(right)
        shifts.append(shift)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for place, weight, moved in zip(wanted, pulls, shifts, strict=True):
        mean, total, count = place - moved, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, heavy, many = blocks.pop()
            mean = (before * heavy + mean * total) / (heavy + total)
            total, count = heavy + total, many + count
        blocks.append((mean, total, count))
    places = [mean for mean, _, count in blocks for _ in range(count)]
    for node, place, moved in zip(row, places, shifts, strict=True):
        node.x = place + moved


def _stack(made: Layout) -> None:
    """Layers from top to bottom; the further lines run sideways between two, the further apart those are."""
    far: dict[int, float] = defaultdict(float)
    for upper, lower in _links(made.chains):
        number = made.nodes[upper].row
        far[number] = max(far[number], abs(made.nodes[upper].x - made.nodes[lower].x))
    top = 4.0
    for number, row in enumerate(made.rows):
        height = max((made.nodes[key].height for key in row), default=0.0)
        made.tops.append(top)
        made.heights.append(height)
        top += height + 10.0 + min(26.0, far[number] * 0.12)
    made.height = made.tops[-1] + made.heights[-1] + 4.0


# --- drawing


def _drawn(made: Layout) -> Markup:
    title = made.machine.title_zh if made.lang == "zh" else made.machine.title_en
    ports = _ports(made)
    parts = [_arrow(made, chain, ports) for chain in made.chains]
    parts += [
        _node(made, node) for node in made.nodes.values() if node.texts or node.key == ("begin",)
    ]
    return Markup(
        '<svg class="{}" role="img" aria-label="{}: {}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
    ).format(
        "life broad" if made.width > BROAD else "life",
        title,
        word("states_and_steps", made.lang),
        *(round(made.width), round(made.height)) * 2,
        Markup("").join(parts),
    )


def _ports(made: Layout) -> dict[tuple[int, int], float]:
    """Where the first and the last point of each chain are on the edge of its box, by chain and end (0 or -1)."""
    ends: dict[tuple[Key, bool], list[tuple[float, int, int]]] = defaultdict(list)
    for number, chain in enumerate(made.chains):
        ends[chain.keys[0], False].append((made.nodes[chain.keys[1]].x, number, 0))
        if chain.head:
            ends[chain.keys[-1], True].append((made.nodes[chain.keys[-2]].x, number, -1))
    found = {}
    for (key, _), side in ends.items():
        node = made.nodes[key]
        step = min(PORT, (node.width - 16.0) / max(1, len(side) - 1))
        for place, (_, number, end) in enumerate(sorted(side)):
            found[number, end] = round(node.x + (place - (len(side) - 1) / 2) * step, 1)
    return found


def _edge(made: Layout, node: Node, *, lower: bool) -> float:
    """The height of a node's upper or lower edge; nodes stand in the middle of their layer."""
    middle = made.tops[node.row] + made.heights[node.row] / 2
    half = node.height / 2 if node.texts or node.key == ("begin",) else made.heights[node.row] / 2
    return round(middle + (half if lower else -half), 1)


def _arrow(made: Layout, chain: Chain, ports: dict[tuple[int, int], float]) -> Markup:
    number = made.chains.index(chain)
    nodes = [made.nodes[key] for key in chain.keys]
    lines: list[str] = []
    x, y = ports[number, 0], _edge(made, nodes[0], lower=True)
    head_x, head_y = x, y
    lines.append(f"M{x} {y + (5 if chain.up else 0)}")
    y = made.tops[nodes[0].row] + made.heights[nodes[0].row]
    lines.append(f"V{round(y, 1)}")
    for node in nodes[1:]:
        last = node is nodes[-1]
        to_x = ports[number, -1] if last and chain.head else node.x
        to_y = made.tops[node.row]
        bend = (to_y - y) * 0.6
        lines.append(
            f"C{x} {round(y + bend, 1)} {to_x} {round(to_y - bend, 1)} {to_x} {round(to_y, 1)}"
        )
        x, y = to_x, to_y
        if last:
            end = _edge(made, node, lower=False)
            head = chain.head and not chain.up
            lines.append(f"V{round(end - (5 if head else 0), 1)}")
            if head:
                head_x, head_y = x, end
        else:
            y = made.tops[node.row] + made.heights[node.row]
            lines.append(f"V{round(y, 1)}")
    tip = Markup("")
    if chain.head:
        side = 7 if chain.up else -7
        tip = Markup('<path class="tip" d="M{} {}l-4 {}h8z"/>').format(head_x, head_y, side)
    return Markup('<g class="{}"><path class="way" d="{}"/>{}</g>').format(
        "by-clock" if chain.by_clock else "by-member", "".join(lines), tip
    )


def _node(made: Layout, node: Node) -> Markup:
    top, left = _edge(made, node, lower=False), round(node.x - node.width / 2, 1)
    if node.key == ("begin",):
        return Markup('<circle class="begin" cx="{}" cy="{}" r="4"/>').format(node.x, top + 4)
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"{}/>')
    size = (left, top, round(node.width, 1), round(node.height, 1))
    if not node.is_state:
        texts = _texts(node.texts, node.x, top + 2, "middle")
        return Markup('<g class="label">{}{}</g>').format(box.format("ground", *size, ""), texts)
    closed = made.machine.closed(node.key[1])
    round_ = Markup(' rx="7"')
    parts = [box.format("edge", *size, round_)]
    if closed:
        inner = (left + 3, top + 3, round(node.width - 6, 1), round(node.height - 6, 1))
        parts.append(box.format("inner", *inner, Markup(' rx="4.5"')))
    parts.append(_texts(node.texts, node.x, top + PAD, "middle"))
    if node.loop:
        parts.append(_loop(node, top))
    return Markup('<g class="{}">{}</g>').format(
        "box closed" if closed else "box", Markup("").join(parts)
    )


def _loop(node: Node, top: float) -> Markup:
    """Steps that leave a thing in its state: an arrow back into the box, with its label to the right."""
    edge, middle = round(node.x + node.width / 2, 1), round(top + node.height / 2, 1)
    way = Markup(
        '<path class="way" d="M{0} {1}c15 -4 15 {3} 3 {4}"/><path class="tip" d="M{0} {2}l7 -4v8z"/>'
    ).format(edge, middle - 7, middle + 7, 18, 14)
    lines = _texts(node.loop, edge + 17, middle - len(node.loop) * LINE / 2, "start")
    return way + Markup('<g class="label">{}</g>').format(lines)


def _texts(texts: Sequence[Text], x: float, top: float, anchor: str) -> Markup:
    return Markup("").join(
        Markup('<text class="{}{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
            text.kind, " code" if text.code else "", round(x, 1), round(top + LINE * (i + 0.76), 1), anchor, text.said
        )
        for i, text in enumerate(texts)
    )  # fmt: skip
