//! Files of other versions and of other programs.

use std::{fs, path::Path};

use rusqlite::Connection;
use vobiz_exporter::clock::Clock;
use vobiz_simulator::{Effect, Endpoint, Fault, Options, START, Vendor, World};

use super::{Stage, failures, is_up, loss_times, open, query};
use crate::harness::{Ended, Exporter, Program, accounts_config, auth_id, once, plan};

/// Runs an exporter that refuses the state at the start.
async fn refused(stage: &Stage) -> Ended {
    let arguments = ["--web.listen-address=127.0.0.1:0"];
    let ended = Program::configured(&stage.configuration(), &arguments)
        .run()
        .await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(stage.vendor.counts().requests, 0, "before any request");
    ended
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_not_changed() {
    let stage = Stage::new().await;
    fs::create_dir(&stage.directory).unwrap();
    let file = stage.file("state.db");
    let newer = first_schema(&file);
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let before = fs::read(&file).unwrap();
    let ended = refused(&stage).await;
    let message = format!(
        "{}: its schema 99 is newer than the schema ",
        file.display()
    );
    assert!(ended.err.contains(&message), "{ended:?}");
    assert!(
        ended
            .err
            .contains("run the newer version again, or restore a backup"),
        "{ended:?}"
    );
    assert!(fs::read(&file).unwrap() == before);
    assert!(!stage.file("state.db.corrupt").exists());
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_not_changed() {
    let stage = Stage::new().await;
    fs::create_dir(&stage.directory).unwrap();
    let file = stage.file("state.db");
    let other = open(&file);
    other
        .execute_batch("CREATE TABLE song (title TEXT); INSERT INTO song VALUES ('one')")
        .unwrap();
    drop(other);
    let before = fs::read(&file).unwrap();
    let ended = refused(&stage).await;
    let message = format!(
        "{}: the file is a database of another program",
        file.display()
    );
    assert!(ended.err.contains(&message), "{ended:?}");
    assert!(
        ended
            .err
            .contains("set state.directory to a folder of the exporter alone"),
        "{ended:?}"
    );
    assert!(fs::read(&file).unwrap() == before);
}

/// The end of the last walk in `first-schema.db`, in Unix milliseconds.
const LAST_WALK: i64 = 1_700_000_000_000;

const FIRST_SCHEMA: &[u8] = include_bytes!("first-schema.db");

/// Writes the database of the first schema to `file`, and opens it.
fn first_schema(file: &Path) -> Connection {
    fs::write(file, FIRST_SCHEMA).unwrap();
    open(file)
}

/// Moves all times of a database by `millis`.
fn move_times(database: &Connection, millis: i64) {
    for (table, columns) in [
        ("account", &["last_success", "walk_started"][..]),
        (
            "endpoint",
            &["since", "last_registered", "first_seen", "removed_at"],
        ),
        ("event", &["at", "earlier"]),
    ] {
        for column in columns {
            let moved = format!("UPDATE {table} SET {column} = {column} + ?");
            database.execute(&moved, [millis]).unwrap();
        }
    }
}

/// All rows of a table, as text.
fn rows(database: &Connection, table: &str) -> Vec<String> {
    let mut select = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = select.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap()));
        Ok(values.collect::<Vec<_>>().join(" "))
    };
    select
        .query_map((), row)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn the_database_of_the_first_schema_has_the_content_of_its_script() {
    let folder = tempfile::tempdir().unwrap();
    let stored = first_schema(&folder.path().join("stored.db"));
    let made = Connection::open_in_memory().unwrap();
    made.execute_batch(include_str!("first-schema.sql"))
        .unwrap();
    for table in ["account", "endpoint", "event", "sqlite_schema"] {
        assert!(rows(&made, table).len() > 1, "{table}");
        assert_eq!(rows(&stored, table), rows(&made, table), "{table}");
    }
    for pragma in ["user_version", "application_id"] {
        let [stored, made] =
            [&stored, &made].map(|one| query::<i64>(one, &format!("PRAGMA {pragma}")));
        assert_eq!(stored, made, "{pragma}");
    }
}

#[tokio::test]
async fn a_state_of_the_first_schema_is_migrated_with_losses_removals_and_conditions() {
    let stage = Stage::new().await;
    let mut world = World::new(START, 7);
    for name in ["main", "second"] {
        world.settle(plan(name, 0));
    }
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let ids = [1, 2, 3].map(|number| format!("10000000000000{number}"));
    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("main")).unwrap();
        for id in &ids {
            account.push(Endpoint::new(id));
        }
        // The removed endpoint is in the list again.
        account.edit(&ids[0], |one| one.set_registered(true, now));
    });
    let hang = Fault::new(Effect::Hang).for_account(auth_id("second"));
    vendor.plan(hang);
    fs::create_dir(&stage.directory).unwrap();
    let now = Clock::system().now().0;
    let first = first_schema(&stage.file("state.db"));
    move_times(&first, now - LAST_WALK);
    let events = rows(&first, "event");
    drop(first);

    let accounts = accounts_config(&vendor, "", [("main", ""), ("second", "")]);
    let state = format!(
        "{accounts}state: {{directory: '{}'}}\n",
        stage.directory.display()
    );
    let exporter = Exporter::start(&state).await;
    let scrape = is_up(&exporter).await;
    assert_eq!(failures(&scrape), (0.0, 0.0));
    assert_eq!(scrape.condition("main"), "ok");
    assert_eq!(
        scrape.condition("second"),
        "refused",
        "as before the restart"
    );
    #[expect(
        clippy::cast_precision_loss,
        reason = "a time in milliseconds has 41 bits"
    )]
    let seconds = |before: i64| (now - before) as f64 / 1000.0;
    let losses = loss_times(&scrape);
    let expected = [
        (&*ids[1], seconds(1_000_000)),
        (&*ids[2], seconds(2_000_000)),
    ];
    assert_eq!(losses, expected.into());
    assert_eq!(
        scrape
            .counted("vobiz_registration_changes_total", "main", "change")
            .len(),
        0
    );
    let last_success = scrape.last_success("second").expect("it is stored");
    assert!(
        (last_success - seconds(600_000)).abs() < 0.001,
        "{last_success}"
    );
    assert_eq!(exporter.terminate().await.code, Some(0));

    let migrated = stage.database();
    let kept = rows(&migrated, "event");
    assert_eq!(kept[..events.len()], events);
    let other = Stage::new().await;
    other.started().await;
    let [version, newest] =
        [migrated, other.database()].map(|one| query::<i64>(&one, "PRAGMA user_version"));
    assert!(version > 1);
    assert_eq!(version, newest);
}

#[tokio::test]
async fn a_single_run_reads_a_state_of_the_first_schema_and_does_not_change_it() {
    let stage = Stage::new().await;
    let mut world = World::new(START, 7);
    world.settle(plan("main", 0));
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let lost = "100000000000002";
    vendor.edit(|world| world.first_mut().push(Endpoint::new(lost)));
    fs::create_dir(&stage.directory).unwrap();
    let file = stage.file("state.db");
    let first = first_schema(&file);
    let now = Clock::system().now().0;
    move_times(&first, now - LAST_WALK);
    drop(first);
    let before = fs::read(&file).unwrap();
    let configuration = accounts_config(&vendor, "", [("main", "")])
        + &format!("state: {{directory: '{}'}}\n", stage.directory.display());
    let scrape = once(&configuration).await;
    let losses = loss_times(&scrape);
    assert_eq!(losses.keys().collect::<Vec<_>>(), [&lost]);
    let age = Clock::system().now().as_seconds() - losses[lost];
    assert!(age > 900.0, "{age}");
    assert!(fs::read(&file).unwrap() == before);
}
