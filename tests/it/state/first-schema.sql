-- Makes first-schema.db, a database as the first version of the schema left it: sqlite3 first-schema.db < first-schema.sql
-- The tables are those of the first script in src/state/schema.rs. All times are relative to 1700000000000, the end
-- of the last walk; the test moves them to the present.
PRAGMA journal_mode = WAL;
CREATE TABLE account (
    name TEXT PRIMARY KEY,
    last_success INTEGER,
    walk_started INTEGER,
    walk_millis INTEGER,
    failure TEXT,
    refusals INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE endpoint (
    account TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    username TEXT NOT NULL,
    alias TEXT NOT NULL,
    sub_account TEXT NOT NULL,
    application TEXT,
    user_agent TEXT,
    registered INTEGER,
    last_known INTEGER,
    since INTEGER NOT NULL,
    last_registered INTEGER,
    first_seen INTEGER NOT NULL,
    last_listed INTEGER,
    removed_at INTEGER,
    PRIMARY KEY (account, endpoint_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    account TEXT,
    endpoint_id TEXT,
    kind TEXT NOT NULL,
    earlier INTEGER,
    detail TEXT
) STRICT;
INSERT INTO account VALUES
    ('main', 1700000000000, 1699999999000, 1000, NULL, 0),
    ('second', 1699999400000, 1699999399000, 1000, 'forbidden', 2);
-- An endpoint that is registered, one that is lost, and one that was lost and then removed.
INSERT INTO endpoint VALUES
    ('main', '100000000000001', 'desk1', 'Desk 1', '', 'APP1', 'Phone/1.0', 1, 1,
        1699990000000, NULL, 1699980000000, NULL, NULL),
    ('main', '100000000000002', 'desk2', 'Desk 2', '', NULL, 'Phone/1.0', 0, 0,
        1699999000000, 1699998995000, 1699980000000, NULL, NULL),
    ('main', '100000000000003', 'desk3', 'Desk 3', '', NULL, NULL, NULL, 0,
        1699998000000, 1699997995000, 1699980000000, NULL, 1699999500000),
    ('second', '200000000000001', 'agent1', 'Agent 1', 'SA1', NULL, NULL, 0, 0,
        1699999300000, 1699999295000, 1699980000000, NULL, NULL);
INSERT INTO event (at, account, endpoint_id, kind, earlier, detail) VALUES
    (1699980000000, NULL, NULL, 'start', NULL, 'version 0.1.0'),
    (1699998000000, 'main', '100000000000003', 'lost', 1699997995000, NULL),
    (1699999000000, 'main', '100000000000002', 'lost', 1699998995000, NULL),
    (1699999300000, 'second', '200000000000001', 'lost', 1699999295000, NULL),
    (1699999405000, 'second', NULL, 'blind', NULL, 'forbidden'),
    (1699999500000, 'main', '100000000000003', 'removed', NULL, NULL),
    (1700000001000, NULL, NULL, 'stop', NULL, NULL);
PRAGMA application_id = 0x566F627A;
PRAGMA user_version = 1;
