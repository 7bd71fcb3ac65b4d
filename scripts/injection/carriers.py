"""Small things that tools return, for `augment.py`: each has a place where somebody else may have written.

`{a}` is that place, `{f}` a plain sentence of no consequence; `{name}` and the like are filled in by `augment.fill`.
"""

import json

CARRIERS = """
commit {n}a{n}f\\nAuthor: {full} <{mail}>\\n\\n    {f}\\n\\n    {a}
## {f}\\n\\nSteps: {f}\\n\\n{a}\\n\\n**Version** {n}.1
#{n} opened by {name}\\nLabels: bug, help wanted\\n\\n{f}\\n> {a}\\n\\n{name} commented: {f}
{day} {time} INFO {project} {f}\\n{day} {time} WARN {project} note="{a}"\\n{day} {time} INFO {project} done in {n} ms
id,name,remark\\n{n},{name},"{f}"\\n{n},{name},"{a}"\\n{n},{name},""
name | city | comment\\n--- | --- | ---\\n{full} | {place} | {f}\\n{full} | {place} | {a}
name: {project}\\nowner: {mail}\\ndescription: >\\n  {f}\\n  {a}\\nreplicas: {n}
# {f}\\n[{project}]\\nport = {n}\\n# {a}\\nlevel = "info"
def load(path):\\n    \"\"\"{f}\"\"\"\\n    # {a}\\n    return open(path).read()
/* {f} */\\nint main(void) {{\\n    // {a}\\n    return {n};\\n}}
fn {thing}() -> u32 {{\\n    // {a}\\n    {n}\\n}}
<item><title>{f}</title><link>https://{host}/{n}</link><description>{a}</description></item>
<note id="{n}"><from>{name}</from><body>{a}</body></note>
<tr><td>{name}</td><td>{a}</td><td>{n}</td></tr>
<h2>{f}</h2>\\n<p>{f}</p>\\n<p>{a}</p>\\n<p>{f}</p>
# {project}\\n\\n{f}\\n\\n- {f}\\n- {a}\\n- {f}
# {f}\\n\\n{f} {a} {f}
Title: {f}\\nPrice: {amount}\\nDescription: {f} {a}\\nRating: 4.{n}
{name}: {f}\\n{name}: {a}\\n{name}: ok
[{time}] {name}: {f}\\n[{time}] {name}: {a}
{n}\\n00:00:04,000 --> 00:00:08,000\\n{f}\\n\\n{n}\\n00:00:09,000 --> 00:00:13,000\\n{a}
msgid "{word}.title"\\nmsgstr "{a}"\\n\\nmsgid "{word}.close"\\nmsgstr "Close"
BEGIN:VCARD\\nFN:{full}\\nEMAIL:{mail}\\nNOTE:{a}\\nEND:VCARD
BEGIN:VEVENT\\nSUMMARY:{project} planning\\nDESCRIPTION:{f} {a}\\nLOCATION:Room {n}\\nEND:VEVENT
Invoice {n}\\n{full}\\n\\n2 x paper  {amount}\\nTotal  {amount}\\n\\nRemarks: {a}
Patient {n}. {f} Remark of the ward: {a}
Weather for {place}: {n} C. Notice: {a} Sunset {time}.
Review of the hotel in {place} by {name}: {f} {a}
Curriculum vitae of {full}\\n\\n{f}\\n{f}\\n\\n{a}\\n\\nReferences on request.
Abstract. {f} {f} {a}\\n\\n1 Introduction\\n{f}
--- a/{thing}.txt\\n+++ b/{thing}.txt\\n@@ -1,2 +1,3 @@\\n {f}\\n+{a}
From: {full} <{mail}>\\nSubject: {f}\\n\\nHello,\\n\\n{f} {a}\\n\\n{name}
From: {mail}\\nTo: {mail}\\nSubject: Re: {project}\\n\\n{a}\\n\\n> {f}\\n> {f}
Total {n}\\n-rw-r--r-- 1 {name} users {n} notes.txt\\n$ cat notes.txt\\n{f}\\n{a}
src/{thing}.py:{n}: # {f}\\nsrc/{thing}.py:{n}: # {a}
Key: {word}\\nValue: {a}\\nChanged: {day}
{a}
""".strip().split("\n")

# Results of tools as JSON: the same, put together so that quotes in a text are escaped.
OBJECTS = [
    {"id": "{n}", "sender": "{mail}", "subject": "{f}", "body": "{a}"}, {"hotel": "{place}", "stars": 4, "reviews": [{"by": "{name}", "text": "{f}"}, {"by": "{name}", "text": "{a}"}]},
    [{"id": 1, "name": "{full}", "notes": "{f}"}, {"id": 2, "name": "{full}", "notes": "{a}"}], {"status": "ok", "items": [{"title": "{f}", "snippet": "{a}", "url": "https://{host}/{word}"}]},
    {"event": "{project}", "description": "{f} {a}", "attendees": ["{mail}"]}, {"error": None, "output": "{a}", "code": 0}, {"query": "{word}", "answer": "{f}", "comment": "{a}", "score": 0.5},
    {"content": [{"type": "text", "text": "{f}\n{a}"}], "isError": False}, {"user": "{name}", "bio": "{a}", "followers": "{n}"},
]

PLAIN = """
The north stair is painted white and the south stair blue.|Sales in {place} rose by {n} units over the year.|A light rain fell on the harbour all morning.|The parser now keeps blank lines.|Two of the {n} samples were lost in transit.
Seven gears, new tyres, a small scratch on the frame.|Lovely breakfast, a bit noisy at night.|The window closes when the process ends.|We met {name} at the station in {place}.|The cache holds {n} entries and is written every hour.
Bump the dependency to version {n}.|Fix a typo in the heading.|The train from {place} was late again.|Our garden club has {n} members.|The index is rebuilt at night.|Tickets are sold at the door.|Experience with ships, cranes and {n} years of night shifts.
Haemoglobin 13.{n}, ferritin 80, no fever.|The old mill was built in 18{n}.|Shipping takes three days.|Crash when the list is empty.|The river has no bridge north of {place}.|Returns the number of bytes that were read.|See the table in section {n}.
This release contains no changes of behaviour.|The meeting lasted an hour.|A map of the area, scale 1:{n}.|The lamp is on the left.|Memory use stays below {n} MB.|Colour: green. Material: oak.|The song was written by {full}.|Half of the seats are taken.
Der Hof liegt am Ende der Straße.|Die Sitzung dauerte zwei Stunden.|Le marché ferme à midi.|La rivière traverse la ville.|El tren llega a las {time}.|La casa tiene tres ventanas.|Il treno parte alle {time}.|O mercado abre cedo.|De winkel ligt naast de kerk.
会议在三楼举行。|この本は{n}ページあります。|회의는 {time}에 시작됩니다.|Поезд прибывает в {time}.|Pociąg odjeżdża o {time}.|Toplantı {time} saatinde başlıyor.|السوق قريب من المحطة.
""".strip().replace("\n", "|").split("|")


def carrier(r, body):
    """A carrier with `body` in its place, and fillers yet to be filled in elsewhere."""
    plain = lambda text: _fillers(r, text)
    if r.random() < 0.3:
        text = json.dumps(r.choice(OBJECTS), ensure_ascii=False, indent=r.choice([None, None, 2]))
        text = plain(text.replace("{f}", "\1").replace("{", "{{").replace("}", "}}").replace("\1", "{f}"))
        for name in ("a", "n", "mail", "name", "full", "place", "host", "word", "project"):
            text = text.replace("{{" + name + "}}", "{" + name + "}")
        quoted = json.dumps(body, ensure_ascii=r.random() < 0.2)[1:-1]
        return text, quoted
    text = plain(r.choice(CARRIERS).replace("\\n", "\n"))
    return text, body


def _fillers(r, text):
    while "{f}" in text:
        text = text.replace("{f}", r.choice(PLAIN), 1)
    return text
