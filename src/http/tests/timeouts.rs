use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, advance, sleep, timeout},
};

use crate::{
    http::{Settings, activity::Activity, timeout_stream::TimeoutStream},
    telemetry::labels::ConnectionOutcome,
};

const SECOND: Duration = Duration::from_secs(1);

/// A connection with the default settings, over a pipe that holds 64 bytes.
struct Connection {
    server: TimeoutStream<DuplexStream>,
    client: DuplexStream,
    activity: Arc<Activity>,
}

fn new_activity() -> Arc<Activity> {
    Arc::new(Activity::new(true))
}

fn connection() -> Connection {
    let (client, stream) = duplex(64);
    let activity = new_activity();
    let settings = Arc::new(Settings::default());
    let server = TimeoutStream::new(stream, Arc::clone(&activity), settings);
    Connection {
        server,
        client,
        activity,
    }
}

/// Reads until the timeout. Returns the duration in seconds.
async fn seconds_until_timeout(server: &mut TimeoutStream<DuplexStream>) -> u64 {
    let start = Instant::now();
    let error = loop {
        match server.read(&mut [0; 64]).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_times_out_after_ten_seconds() {
    let mut connection = connection();
    assert_eq!(seconds_until_timeout(&mut connection.server).await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_gets_no_more_time_for_each_byte() {
    let Connection {
        mut server,
        mut client,
        ..
    } = connection();
    let slow = async {
        loop {
            client.write_all(b"x").await.unwrap();
            sleep(SECOND).await;
        }
    };
    tokio::select! {
        () = slow => {}
        seconds = seconds_until_timeout(&mut server) => assert_eq!(seconds, 10),
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_idle_for_minutes_between_requests() {
    let Connection {
        mut server,
        mut client,
        activity,
    } = connection();
    for _ in 0..3 {
        client.write_all(b"head").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        activity.begin_response();
        server.write_all(b"response").await.unwrap();
        activity.end_response(None);
        // After the response, the connection is idle.
        let read = timeout(5 * 60 * SECOND, server.read_u8()).await;
        assert!(read.is_err(), "no timeout yet");
    }
    assert_eq!(seconds_until_timeout(&mut server).await, 60);

    client.write_all(b"he").await.unwrap();
    assert_eq!(
        seconds_until_timeout(&mut server).await,
        10,
        "the time of a head starts with its first byte"
    );
}

#[tokio::test(start_paused = true)]
async fn no_read_timeout_during_a_response() {
    let mut connection = connection();
    connection.activity.begin_response();
    let hour = 3600 * SECOND;
    let read = timeout(hour, connection.server.read_u8()).await;
    assert!(read.is_err());
    connection.server.write_all(b"response").await.unwrap();
    connection.activity.end_response(None);
    assert_eq!(seconds_until_timeout(&mut connection.server).await, 360);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_times_out_after_thirty_seconds() {
    let mut connection = connection();
    connection.activity.begin_response();
    let start = Instant::now();
    let error = connection.server.write_all(&[0; 65]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn every_read_byte_restarts_the_thirty_seconds() {
    let Connection {
        mut server,
        mut client,
        activity,
    } = connection();
    activity.begin_response();
    let slow = async {
        for _ in 0..20 {
            advance(29 * SECOND).await;
            client.read_u8().await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let start = Instant::now();
    tokio::select! {
        biased;
        written = server.write_all(&[0; 64 + 20]) => written.unwrap(),
        () = slow => {}
    }
    assert_eq!(start.elapsed().as_secs(), 20 * 29);
}

#[tokio::test]
async fn chunks_are_written_together_if_the_socket_can() {
    let (client, server) = duplex(64);
    let mut server = TimeoutStream::new(server, new_activity(), Arc::new(Settings::default()));
    let chunks = [io::IoSlice::new(b"one"), io::IoSlice::new(b"two")];
    assert_eq!(server.write_vectored(&chunks).await.unwrap(), 6);
    drop(server);
    let mut all = String::new();
    tokio::io::BufReader::new(client)
        .read_to_string(&mut all)
        .await
        .unwrap();
    assert_eq!(all, "onetwo");
}

#[tokio::test(start_paused = true)]
async fn an_answer_must_end_after_ten_seconds_and_its_size_at_64_kibibytes_a_second() {
    let Connection {
        mut server,
        mut client,
        activity,
    } = connection();
    activity.begin_response();
    activity.begin_answer(20 * 64 * 1024);
    let slow = async {
        loop {
            sleep(SECOND).await;
            client.read_u8().await.unwrap();
        }
    };
    let start = Instant::now();
    tokio::select! {
        written = server.write_all(&[0; 1000]) => assert!(written.is_err()),
        () = slow => {}
    }
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(activity.outcome(), ConnectionOutcome::TooSlow);
}
