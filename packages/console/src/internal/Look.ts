/** The stylesheet of the console, in light and dark. */

/** The stylesheet. */
export const css = `:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --sheet: #fff; --ink: #1d2327; --soft: #5c666d; --line: #e4e1dc; --wash: #f3f1ed;
  --link: #0b5a8a; --accent: #0b5a8a; --fill: #0b5a8a; --on-accent: #fff; --mark: #fff4d6;
  --good: #17693c; --good-wash: #e3f3e8; --bad: #a3202b; --bad-wash: #fbe9e9; --warn: #855300; --warn-wash: #fbf0d9;
  --bar: #8db6cf; --bar-bad: #c8515b;
  --mono: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Open Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181b; --sheet: #1b2024; --ink: #e6e8e9; --soft: #9fa9af; --line: #2e353a; --wash: #22282d;
    --link: #7cc0ea; --accent: #2f86b8; --fill: #1f6d9a; --on-accent: #fff; --mark: #3b3315;
    --good: #7fd3a0; --good-wash: #1b3325; --bad: #f29aa1; --bad-wash: #3d2023; --warn: #e9bd6a; --warn-wash: #382c14;
    --bar: #39698a; --bar-bad: #a9434c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: .18em; text-decoration-color: color-mix(in srgb, currentColor 40%, transparent); }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--sheet); padding: .5rem 1rem; z-index: 2; }
header.top { background: var(--sheet); border-bottom: 1px solid var(--line); }
header.top > div { max-width: 78rem; margin: 0 auto; padding: .6rem 1.25rem; display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1.5rem; }
.brand { font-weight: 650; letter-spacing: -.01em; color: var(--ink); text-decoration: none; padding: .3rem 0; }
nav.main { display: flex; flex-wrap: wrap; gap: .1rem .2rem; flex: 1; }
nav.main a { color: var(--soft); text-decoration: none; padding: .3rem .6rem; border-radius: 6px; font-size: .94rem; }
nav.main a:hover { color: var(--ink); background: var(--wash); }
nav.main a[aria-current] { color: var(--ink); background: var(--wash); font-weight: 550; }
.who { display: flex; align-items: center; gap: .75rem; font-size: .86rem; color: var(--soft); }
.who form { margin: 0; }
main { max-width: 78rem; margin: 0 auto; padding: 1.6rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; font-weight: 620; letter-spacing: -.015em; margin: 0 0 .35rem; }
h2 { font-size: 1.06rem; font-weight: 620; margin: 2.2rem 0 .7rem; }
h3 { font-size: .95rem; margin: 1rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
.lede, .soft { color: var(--soft); }
.lede { margin-bottom: 1.1rem; }
.small { font-size: .86rem; }
code, pre, .mono { font-family: var(--mono); font-size: .86em; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; overflow: auto; max-height: 36rem; white-space: pre-wrap; margin: .4rem 0; }
.sheet { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem; margin: 0 0 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1rem 0; }
.tile { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem; color: var(--ink); text-decoration: none; display: block; }
a.tile:hover { border-color: var(--soft); }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
.tile span { color: var(--soft); font-size: .86rem; }
.tile.bad b { color: var(--bad); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2rem; align-items: start; }
.columns > * { min-width: 0; }
table { border-collapse: collapse; width: 100%; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; border-spacing: 0; overflow: hidden; border-collapse: separate; font-size: .92rem; }
th { text-align: left; font-weight: 550; color: var(--soft); font-size: .82rem; background: var(--wash); }
th, td { padding: .5rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
tbody tr:hover, tbody tr[data-here] { background: var(--wash); }
tbody tr[data-here] { box-shadow: inset 3px 0 var(--accent); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td time, .nowrap { white-space: nowrap; }
td.tick, th.tick { width: 2.4rem; padding-right: 0; }
input[type=checkbox] { width: 1.05rem; height: 1.05rem; accent-color: var(--accent); margin: .15rem 0 0; }
.tag { display: inline-block; justify-self: start; padding: .05rem .5rem; border-radius: 99px; font-size: .82rem; line-height: 1.45; background: var(--wash); color: var(--ink); white-space: nowrap; }
.tag.good { background: var(--good-wash); color: var(--good); }
.tag.bad { background: var(--bad-wash); color: var(--bad); }
.tag.warn { background: var(--warn-wash); color: var(--warn); }
.note { border-left: 3px solid var(--accent); background: var(--sheet); padding: .6rem 1rem; border-radius: 0 8px 8px 0; margin: 0 0 1rem; max-width: none; }
.note.bad { border-color: var(--bad); }
.note.warn { border-color: var(--warn); }
form.filter { display: flex; flex-wrap: wrap; gap: .7rem; align-items: end; margin: 0 0 1rem; }
form.filter details { flex-basis: 100%; }
form.filter details > div, .fields { display: flex; flex-wrap: wrap; gap: .7rem; align-items: end; padding-top: .7rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; width: fit-content; }
label { display: grid; gap: .2rem; font-size: .82rem; color: var(--soft); min-width: 0; }
label.wide { flex: 1 1 18rem; }
input:not([type=checkbox]):not([type=range]), select, textarea { font: inherit; font-size: .94rem; color: var(--ink); background: var(--sheet); border: 1px solid color-mix(in srgb, var(--soft) 55%, var(--line)); border-radius: 7px; padding: .42rem .6rem; min-width: 0; width: 100%; max-width: 100%; }
button, .button { font: inherit; font-size: .92rem; color: var(--ink); background: var(--sheet); border: 1px solid color-mix(in srgb, var(--soft) 55%, var(--line)); border-radius: 7px; padding: .42rem .9rem; cursor: pointer; text-decoration: none; display: inline-block; }
button:not(.main):hover, .button:not(.main):hover { border-color: var(--soft); background: var(--wash); }
button.main, .button.main { background: var(--fill); border-color: var(--fill); color: var(--on-accent); }
button.plain { border: 0; background: none; color: var(--link); padding: .2rem 0; text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: .18em; font-size: inherit; }
button.danger { color: var(--bad); border-color: color-mix(in srgb, var(--bad) 50%, var(--line)); }
.acts { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; margin: .9rem 0; }
.acts label { display: flex; align-items: center; gap: .45rem; color: var(--ink); font-size: .92rem; }
.acts label input[type=checkbox] { margin: 0; }
.pages { margin: .9rem 0; display: flex; gap: .8rem; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem; margin: 0; font-size: .93rem; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; min-width: 0; }
ol.line { list-style: none; margin: 0; padding: 0 0 0 1.1rem; border-left: 2px solid var(--line); }
ol.line > li { position: relative; padding: 0 0 1.1rem; }
ol.line > li::before { content: ""; position: absolute; left: calc(-1.1rem - 6px); top: .45rem; width: 10px; height: 10px; border-radius: 50%; background: var(--soft); border: 2px solid var(--paper); }
ol.line > li.good::before { background: var(--good); }
ol.line > li.bad::before { background: var(--bad); }
ol.line > li.warn::before { background: var(--warn); }
ol.line .head { display: flex; flex-wrap: wrap; gap: .2rem .7rem; align-items: baseline; }
ol.line dl { margin-top: .35rem; font-size: .88rem; }
ol.live { list-style: none; margin: 0; padding: 0; font-size: .9rem; }
ol.live li { display: flex; gap: .8rem; padding: .3rem 0; border-bottom: 1px solid var(--line); }
ol.live li:last-child { border: 0; }
input[type=range] { width: 100%; accent-color: var(--accent); }
svg.rates { width: 100%; height: auto; display: block; }
svg.rates .ok { fill: var(--bar); } svg.rates .not { fill: var(--bar-bad); }
svg.rates line { stroke: var(--line); } svg.rates text { fill: var(--soft); font-size: 8px; }
progress { width: 100%; height: .8rem; accent-color: var(--accent); }
.center { max-width: 26rem; margin: 12vh auto 0; }
.center .sheet { padding: 1.5rem 1.6rem; }
.center label { margin: .9rem 0; }
footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem 2rem; color: var(--soft); font-size: .84rem; }
dialog { border: 1px solid var(--line); border-radius: 12px; background: var(--sheet); color: var(--ink); padding: 1.3rem 1.5rem; max-width: 26rem; }
dialog::backdrop { background: rgb(0 0 0 / .35); }
kbd { font-family: var(--mono); font-size: .84em; border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 5px; padding: .05rem .4rem; background: var(--wash); }
.empty { color: var(--soft); padding: 1.4rem; text-align: center; background: var(--sheet); border: 1px dashed var(--line); border-radius: 10px; max-width: none; }
@media (max-width: 44rem) {
  header.top > div, main, footer { padding-left: .9rem; padding-right: .9rem; }
  main { padding-top: 1.1rem; }
  nav.main { order: 3; flex-basis: 100%; margin: 0 -.4rem; }
  nav.main a { padding: .3rem .5rem; }
  .who { margin-left: auto; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  table, tbody, tr, td { display: block; width: auto; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table { border: 0; background: none; border-radius: 0; overflow: visible; }
  tbody tr { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; margin: 0 0 .6rem; padding: .45rem 0; position: relative; }
  td, td.number { border: 0; padding: .16rem .9rem; text-align: left; display: grid; grid-template-columns: 7rem 1fr; gap: .6rem; }
  td::before { content: attr(data-label); color: var(--soft); font-size: .84rem; }
  td:empty { display: none; }
  td.tick { position: absolute; right: .4rem; top: .5rem; width: auto; display: block; padding: .2rem .5rem; }
  td.tick::before { content: none; }
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .45rem; }
  form.filter label { flex: 1 1 8.5rem; }
  form.filter label.wide { flex-basis: 100%; }
}
@media (prefers-reduced-motion: no-preference) { ol.live li.new { animation: new 1.6s ease-out; } @keyframes new { from { background: var(--mark); } } }
`
