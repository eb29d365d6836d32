"""Draws the diagrams in docs/src/images: states from this file, tables from the .dot files that a test generates.

Run `python3 docs/diagrams.py` after you change a diagram, and commit the SVG files. It needs graphviz (Debian:
`apt-get install graphviz`).
"""

import re
import subprocess
from pathlib import Path

IMAGES = Path(__file__).parent / "src" / "images"

# The card has a background of its own, so that the text is readable on any page.
STYLE = """<style>
.card { fill: #f6f8fa; stroke: #d0d7de; }
.box { fill: #ffffff; stroke: #57606a; stroke-width: 1.2; }
.good { fill: #dafbe1; stroke: #1a7f37; }
.bad { fill: #ffebe9; stroke: #cf222e; }
.line { fill: none; stroke: #57606a; stroke-width: 1.2; }
.tip { fill: #57606a; stroke: #57606a; }
text { fill: #1f2328; font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
.note { fill: #57606a; }
@media (prefers-color-scheme: dark) {
  .card { fill: #161b22; stroke: #30363d; }
  .box { fill: #0d1117; stroke: #8b949e; }
  .good { fill: #12361f; stroke: #3fb950; }
  .bad { fill: #3d1514; stroke: #f85149; }
  .line { stroke: #8b949e; }
  .tip { fill: #8b949e; stroke: #8b949e; }
  text { fill: #e6edf3; }
  .note { fill: #9da7b1; }
}
</style>"""

GOOD = {"uploaded", "completed", "downloaded", "transformed", "published", "used", "answered"}
BAD = {"failed", "rejected"}

# Each diagram: a title, and machines of (name, edges of (from, to, label)). A machine without a name has no frame.
DIAGRAMS = {
    "runs": (
        "The life of a run",
        [
            (
                "",
                [
                    ("pending", "running", "move"),
                    ("running", "review", "send"),
                    ("review", "approved", "approve"),
                    ("approved", "uploaded", "move"),
                    ("review", "running", "skip,\nredo_script"),
                    ("pending", "failed", ""),
                    ("running", "failed", ""),
                    ("review", "failed", "reject"),
                    ("approved", "failed", ""),
                    ("uploaded", "failed", ""),
                    ("failed", "pending", "retry"),
                ],
            )
        ],
    ),
    "reviews": (
        "The life of a review",
        [
            (
                "",
                [
                    ("open", "answered", "approve, reject,\nskip, redo_script"),
                    ("open", "held", "hold, by a person\nor by a timeout"),
                    ("held", "answered", "approve, reject,\nskip, redo_script"),
                ],
            )
        ],
    ),
    "discovered-videos": (
        "The life of a discovered video",
        [
            (
                "",
                [
                    ("pending", "used", "a run chooses it"),
                    ("used", "skipped", "a review\nskips its clip"),
                    ("pending", "skipped", "mark"),
                    ("pending", "rejected", "mark"),
                ],
            )
        ],
    ),
    "queue": (
        "The life of a job in the queue",
        [
            (
                "",
                [
                    ("queued", "processing", "claim"),
                    ("processing", "completed", "complete"),
                    ("processing", "queued", "release"),
                    ("processing", "retrying", "fail, rescue"),
                    ("retrying", "processing", "claim, when due"),
                    ("processing", "failed", "fail or rescue,\nno attempts left"),
                    ("queued", "failed", "cancel"),
                    ("retrying", "failed", "cancel"),
                    ("failed", "queued", "retry"),
                ],
            )
        ],
    ),
    "videos": (
        "The three statuses of a source video",
        [
            (
                "download_status",
                [
                    ("pending", "downloading", ""),
                    ("downloading", "downloaded", ""),
                    ("downloading", "failed", ""),
                    ("failed", "pending", "retry"),
                ],
            ),
            (
                "transformation_status",
                [
                    ("pending", "processing", ""),
                    ("processing", "transformed", ""),
                    ("processing", "failed", ""),
                    ("failed", "pending", "retry"),
                ],
            ),
            (
                "publication_status",
                [
                    ("pending", "scheduled", "schedule"),
                    ("scheduled", "publishing", ""),
                    ("publishing", "published", ""),
                    ("publishing", "failed", ""),
                    ("failed", "pending", "retry"),
                ],
            ),
        ],
    ),
    "generation": (
        "The life of a generation job and of its videos",
        [
            (
                "jobs",
                [
                    ("pending", "running", "start"),
                    ("running", "completed", "complete"),
                    ("pending", "failed", "fail"),
                    ("running", "failed", "fail"),
                    ("failed", "pending", "retry"),
                ],
            ),
            (
                "job_videos",
                [
                    ("generated", "approved", "approve"),
                    ("generated", "rejected", "reject"),
                    ("approved", "published", "publish"),
                ],
            ),
        ],
    ),
}


def dot(machines):
    """Returns the diagram in graphviz's language."""
    lines = [
        "digraph {",
        'rankdir=LR; bgcolor=transparent; nodesep=0.45; ranksep=0.75; pad=0.25; fontname="Helvetica"; fontsize=13;',
        'node [shape=box, style=rounded, fontname="Helvetica", fontsize=13, height=0.45, margin="0.18,0.06"];',
        'edge [fontname="Helvetica", fontsize=11, arrowsize=0.7];',
    ]
    # graphviz draws the last machine at the top.
    for number, (name, edges) in reversed(list(enumerate(machines))):
        lines.append(f'subgraph cluster{number} {{ label="{name}"; labeljust=l; margin=12;' if name else "{")
        for word in dict.fromkeys(word for edge in edges for word in edge[:2]):
            kind = "good" if word in GOOD else "bad" if word in BAD else "box"
            lines.append(f'"{number}{word}" [label="{word}", class="{kind}"];')
        for source, target, label in edges:
            text = label.replace("\n", "\\n")
            lines.append(f'"{number}{source}" -> "{number}{target}" [label="{text}"];')
        lines.append("}")
    return "\n".join([*lines, "}"])


def svg(title, machines):
    """Returns the diagram as SVG, with the colors of STYLE."""
    drawn = subprocess.run(["dot", "-Tsvg"], input=dot(machines), capture_output=True, text=True, check=True).stdout
    head, body = re.search(r"(<svg.*?>)(.*)</svg>", drawn, re.DOTALL).groups()
    width, height = (float(number) for number in re.search(r'viewBox="0.00 0.00 ([\d.]+) ([\d.]+)"', head).groups())
    body = re.sub(r"<!--.*?-->\n|<title>.*?</title>\n", "", body)
    # Clusters have no frame; their names are notes.
    body = re.sub(r'(<g id="clust\d+" class="cluster">\n)<polygon[^>]*/>\n', r"\1", body)
    body = re.sub(r'(class="cluster">\n<text )', r'\1class="note" ', body)
    body = re.sub(
        r'(<g id="node\d+" class="node) (\w+)(">\n<path )fill="none" stroke="black"', r'\1\3class="box \2"', body
    )
    body = re.sub(r'<path fill="none" stroke="black"', '<path class="line"', body)
    body = re.sub(r'<polygon fill="black" stroke="black"', '<polygon class="tip"', body)
    body = re.sub(r' font-family="[^"]*"', "", body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">\n<title>{title}</title>\n{STYLE}\n'
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>\n'
        f"{body.strip()}\n</svg>\n"
    )


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, (title, machines) in DIAGRAMS.items():
        (IMAGES / f"{name}.svg").write_text(svg(title, machines))
    for source in IMAGES.glob("*.dot"):
        subprocess.run(["dot", "-Tsvg", str(source), "-o", str(source.with_suffix(".svg"))], check=True)
