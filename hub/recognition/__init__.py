"""Rules of recognition as data: a small language that every university writes its own rules in, and that always answers.

language.py   the text of a rule set -> `RuleSet`, or findings with their lines; start here
ruleset.py    a rule set as a value, and the words it may use
conditions.py what a rule may ask for: facts and comparisons
doubts.py     warnings, among them clauses that no case can reach
reading.py    TOML tables read with findings instead of exceptions; numbers in thousandths
lines.py      where a key stands in the text
evaluate.py   facts -> `Ruling`: the first clause that holds decides, within limits
explain.py    a ruling in English and Chinese
cases.py      cases with an expected ruling, beside the rule set
builtin.py    the rules of those who registered none (default.toml)
examples/     two rule sets with their cases

Pure but for builtin.py, which reads its own file. Left to others: who may register a rule set, which version holds
for a case, and what becomes of a decision that does not keep to it (hub.events).
"""
