use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, advance, sleep, timeout},
};

use super::Patient;
use crate::http::{body::Ticket, connection::Pulse, settings::Limits};

const SECOND: Duration = Duration::from_secs(1);

/// One connection over a pipe that holds 64 bytes, with the limits that everybody has.
struct Connection {
    server: Patient<DuplexStream>,
    client: DuplexStream,
    pulse: Arc<Pulse>,
}

fn connection() -> Connection {
    let (client, stream) = duplex(64);
    let pulse = Arc::new(Pulse::default());
    let server = Patient::new(stream, Arc::clone(&pulse), Arc::new(Limits::default()));
    Connection {
        server,
        client,
        pulse,
    }
}

/// Reads until the patience ends, and says after how many seconds that was.
async fn seconds_until_given_up(server: &mut Patient<DuplexStream>) -> u64 {
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
async fn a_connection_that_never_speaks_is_given_up_after_ten_seconds() {
    let mut connection = connection();
    assert_eq!(seconds_until_given_up(&mut connection.server).await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_gets_no_more_time_for_each_drop() {
    let Connection {
        mut server,
        mut client,
        ..
    } = connection();
    let drip = async {
        loop {
            client.write_all(b"x").await.unwrap();
            sleep(SECOND).await;
        }
    };
    tokio::select! {
        () = drip => {}
        seconds = seconds_until_given_up(&mut server) => assert_eq!(seconds, 10),
    }
}

#[tokio::test(start_paused = true)]
async fn between_two_requests_a_connection_may_rest_for_minutes() {
    let Connection {
        mut server,
        mut client,
        pulse,
    } = connection();
    for _ in 0..3 {
        client.write_all(b"head").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        drop(Ticket::new(&pulse));
        // The next head is awaited from here on.
        let rest = timeout(5 * 60 * SECOND, server.read_u8()).await;
        assert!(rest.is_err(), "nobody gave up");
    }
    assert_eq!(seconds_until_given_up(&mut server).await, 60);

    client.write_all(b"he").await.unwrap();
    assert_eq!(
        seconds_until_given_up(&mut server).await,
        10,
        "a head that has begun must end soon"
    );
}

#[tokio::test(start_paused = true)]
async fn while_an_answer_is_under_way_nothing_is_expected_of_the_client() {
    let mut connection = connection();
    let ticket = Ticket::new(&connection.pulse);
    let hour = 3600 * SECOND;
    let read = timeout(hour, connection.server.read_u8()).await;
    assert!(read.is_err());
    drop(ticket);
    assert_eq!(seconds_until_given_up(&mut connection.server).await, 360);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_given_up_after_thirty_seconds() {
    let mut connection = connection();
    let _ticket = Ticket::new(&connection.pulse);
    let start = Instant::now();
    let error = connection.server.write_all(&[0; 65]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn every_byte_that_is_taken_begins_the_thirty_seconds_anew() {
    let Connection {
        mut server,
        mut client,
        pulse,
    } = connection();
    let _ticket = Ticket::new(&pulse);
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
async fn pieces_are_written_together_where_the_socket_can() {
    let (client, server) = duplex(64);
    let vectored = tokio::io::AsyncWrite::is_write_vectored(&server);
    let pulse = Arc::new(Pulse::default());
    let mut server = Patient::new(server, pulse, Arc::new(Limits::default()));
    assert!(vectored && tokio::io::AsyncWrite::is_write_vectored(&server));

    let pieces = [io::IoSlice::new(b"one"), io::IoSlice::new(b"two")];
    assert_eq!(server.write_vectored(&pieces).await.unwrap(), 6);
    drop(server);
    let mut all = String::new();
    tokio::io::BufReader::new(client)
        .read_to_string(&mut all)
        .await
        .unwrap();
    assert_eq!(all, "onetwo");
}
