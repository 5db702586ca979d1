-- Search. docs/data-model.md tells how the index grows; its blocks and descriptions are those of keepwell-index.

-- Conditional interactions ask the index now.
DROP TABLE identifier;

-- The blocks of all segments: written once, never changed.
CREATE TABLE search_block (
    id   INTEGER PRIMARY KEY,  -- segment in the high 31 bits, number of the block in the low 32
    data BLOB NOT NULL         -- at most one page
) STRICT;

-- The segments: each holds the terms of a range of changes.
CREATE TABLE search_segment (
    id          INTEGER PRIMARY KEY,
    description BLOB NOT NULL
) STRICT;

-- The terms of changes that are in no segment yet, a row a commit.
CREATE TABLE search_pending (
    last INTEGER PRIMARY KEY,  -- change_log.sequence of the last change in it
    data BLOB NOT NULL
) STRICT;

-- How far the index is: one row.
CREATE TABLE search_state (
    key        INTEGER PRIMARY KEY CHECK (key = 1),
    generation INTEGER NOT NULL,  -- rises with each change of the index, so that a reader knows which one it sees
    covered    INTEGER NOT NULL,  -- changes up to this sequence are in the index
    horizon    INTEGER NOT NULL,  -- it can be searched as of this change and later ones
    rules      INTEGER NOT NULL   -- the version of the rules by which terms were made: others make the index anew
) STRICT;
INSERT INTO search_state (key, generation, covered, horizon, rules) VALUES (1, 0, 0, 0, 0);

-- Search parameters that are not from R4, one for each type that a SearchParameter is about.
CREATE TABLE search_parameter (
    number     INTEGER PRIMARY KEY,  -- keepwell_search::ParameterNumber: 2^15 and up, never given again
    url        TEXT NOT NULL,        -- the canonical URL of the SearchParameter
    definition BLOB NOT NULL,        -- the SearchParameter, as JSON
    type       INTEGER NOT NULL,     -- keepwell_fhir::ResourceType::code
    code       TEXT NOT NULL,
    since      INTEGER NOT NULL,     -- later changes were taken apart with it
    covered    INTEGER NOT NULL,     -- changes up to this sequence were taken apart again for it: ready at `since`
    active     INTEGER NOT NULL      -- 0 when it was replaced or withdrawn
) STRICT;
