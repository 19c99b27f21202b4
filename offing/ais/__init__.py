"""AIS: what ships say of themselves, and whether it agrees with what was seen.

Reading order: `schema` (the one table), `reader` (files to that table), `tracks` and `placing` (where a ship was at a
given instant, and how surely), `candidates` and `association` (which object may be which ship), `identity` and
`coverage` (what is doubtful, what silence means), `cross_check` (the verdict), `verdict` (what it returns), `simulate`
(AIS made up, with its truth known).

Nothing is imported here, so that ``import offing`` stays light. This package knows no pixels and loads no network.
Comments that give a section cite offing's AIS design note, where most numbers were measured.
"""
