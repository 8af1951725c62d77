//! Notifications to a service manager over a real socket.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram as StdDatagram},
    },
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixDatagram},
    time::Instant,
};
use vobiz_simulator::{Options, Vendor, World};

use crate::harness::{Program, configuration, until};

const LISTEN: &str = "--web.listen-address=127.0.0.1:0";

/// All received messages with their times.
type Messages = Arc<Mutex<Vec<(Instant, String)>>>;

/// The socket of a service manager, in the file system or in the abstract namespace.
struct Manager {
    _folder: tempfile::TempDir,
    socket: String,
    received: Messages,
}

impl Manager {
    fn by_path() -> Self {
        let (receiver, path, folder) = bind_socket();
        Self::listening(receiver, path, folder)
    }

    fn by_name() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("vobiz-exporter{}", folder.path().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = StdDatagram::bind_addr(&address).unwrap();
        Self::listening(receiver, format!("@{name}"), folder)
    }

    fn listening(receiver: StdDatagram, socket: String, folder: tempfile::TempDir) -> Self {
        receiver.set_nonblocking(true).unwrap();
        let receiver = UnixDatagram::from_std(receiver).unwrap();
        let received = Messages::default();
        let notes = Arc::clone(&received);
        tokio::spawn(async move {
            let mut message = [0; 4096];
            while let Ok(length) = receiver.recv(&mut message).await {
                let text = String::from_utf8(message[..length].to_vec()).expect("text");
                notes.lock().unwrap().push((Instant::now(), text));
            }
        });
        Self {
            _folder: folder,
            socket,
            received,
        }
    }

    /// All messages except watchdog messages.
    fn messages(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        let text = received.iter().map(|(_, text)| text.clone());
        text.filter(|text| text != "WATCHDOG=1").collect()
    }

    fn watchdog_times(&self) -> Vec<Instant> {
        let received = self.received.lock().unwrap();
        let watchdog = received.iter().filter(|(_, text)| text == "WATCHDOG=1");
        watchdog.map(|(at, _)| *at).collect()
    }

    async fn receives(&self, text: &str) {
        let received = || async { self.messages().iter().any(|one| one == text).then_some(()) };
        until(text, received).await;
    }
}

/// Binds a socket from which no task reads yet. Returns the socket, its path and its folder.
fn bind_socket() -> (StdDatagram, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let receiver = StdDatagram::bind(&path).unwrap();
    (receiver, path.to_str().unwrap().to_owned(), folder)
}

/// A vendor that accepts every connection and never responds, and a configuration for this vendor.
async fn hanging() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let configuration = format!(
        "api: {{base_url: \"http://{address}/api/v1\"}}\n\
         accounts: [{{name: main, auth_id: MA_1, auth_token: abc}}]\n"
    );
    (listener, configuration)
}

#[tokio::test]
async fn systemd_receives_readiness_progress_and_the_end() {
    for manager in [Manager::by_path(), Manager::by_name()] {
        let vendor = Vendor::start(World::still(5, 7), Options::default())
            .await
            .unwrap();
        let exporter = Program::configured(&configuration(&vendor, ""), &[LISTEN])
            .set("NOTIFY_SOCKET", &manager.socket)
            .start();
        manager.receives("STATUS=1 account, all up").await;
        vendor.stop().await;
        manager.receives("STATUS=1 account: 0 up, 1 down").await;
        exporter.signal("TERM").await;
        assert_eq!(exporter.ended().await.code, Some(0));
        let text = manager.messages();
        assert_eq!(text[0], "STATUS=reading the configuration");
        assert_eq!(text[1], "STATUS=loading the stored state");
        // The first walk may end before this message, so the text after `STATUS=` can differ.
        assert!(text[2].starts_with("READY=1\nSTATUS="), "{text:?}");
        let last = "STOPPING=1\nSTATUS=finishing answers under way";
        assert_eq!(text.last().unwrap(), last, "{text:?}");
        let ready = text.iter().filter(|text| text.contains("READY=1"));
        assert_eq!(ready.count(), 1, "{text:?}");
        assert!(manager.watchdog_times().is_empty(), "no watchdog is set");
    }
}

#[tokio::test]
async fn a_vendor_that_hangs_delays_neither_readiness_nor_the_watchdog() {
    let manager = Manager::by_path();
    let (vendor, text) = hanging().await;
    let exporter = Program::configured(&text, &[LISTEN])
        .set("NOTIFY_SOCKET", &manager.socket)
        .set("WATCHDOG_USEC", "400000")
        .start();
    let waiting = "READY=1\nSTATUS=first walks: 0 of 1 account finished, 0 of them failed";
    manager.receives(waiting).await;
    let (_walk, _) = vendor.accept().await.unwrap();
    until("twelve messages of the watchdog", || async {
        (manager.watchdog_times().len() >= 12).then_some(())
    })
    .await;
    // On a busy machine one message may be late, so the test checks the average interval.
    let watchdog = manager.watchdog_times();
    let apart = (watchdog[11] - watchdog[0]) / 11;
    assert!(
        apart > Duration::from_millis(150) && apart < Duration::from_millis(400),
        "{apart:?}"
    );
    assert_eq!(manager.messages().len(), 3, "{:?}", manager.messages());

    exporter.signal("TERM").await;
    assert_eq!(exporter.ended().await.code, Some(0));
    let text = manager.messages();
    assert!(text.last().unwrap().starts_with("STOPPING=1\n"), "{text:?}");
}

#[tokio::test]
async fn a_failed_start_never_reports_readiness() {
    let manager = Manager::by_path();
    let (vendor, text) = hanging().await;
    let taken = format!("--web.listen-address={}", vendor.local_addr().unwrap());
    for (text, listen, code) in [
        ("accounts: 7", LISTEN, 2),
        (text.as_str(), taken.as_str(), 1),
    ] {
        let ended = Program::configured(text, &[listen])
            .set("NOTIFY_SOCKET", &manager.socket)
            .run()
            .await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
    }
    manager.receives("STATUS=reading the configuration").await;
    let text = manager.messages();
    assert!(!text.iter().any(|text| text.contains("READY")), "{text:?}");
}

#[tokio::test]
async fn without_a_listening_manager_the_exporter_works() {
    let vendor = Vendor::start(World::still(5, 7), Options::default())
        .await
        .unwrap();
    for socket in ["/nonexistent/notify", "@without/a/listener", "nonsense"] {
        let exporter = Program::configured(&configuration(&vendor, ""), &[LISTEN])
            .set("NOTIFY_SOCKET", socket)
            .start();
        exporter.says("walk published").await;
        exporter.signal("TERM").await;
        let ended = exporter.ended().await;
        assert_eq!(ended.code, Some(0));
        let is_logged = ended.err.contains("cannot notify the service manager");
        assert_eq!(is_logged, socket != "nonsense", "{}", ended.err);
    }
}

#[tokio::test]
async fn a_busy_manager_receives_readiness_later_and_delays_nothing() {
    let vendor = Vendor::start(World::still(5, 7), Options::default())
        .await
        .unwrap();
    for listens_later in [true, false] {
        let (receiver, socket, folder) = bind_socket();
        let noise = StdDatagram::unbound().unwrap();
        noise.set_nonblocking(true).unwrap();
        while noise.send_to(b"X_OTHERS=1", &socket).is_ok() {}

        let exporter = Program::configured(&configuration(&vendor, ""), &[LISTEN])
            .set("NOTIFY_SOCKET", &socket)
            .start();
        exporter.says("walk published").await;
        if listens_later {
            let manager = Manager::listening(receiver, socket, folder);
            until("the manager receives", || async {
                let text = manager.messages();
                text.iter()
                    .any(|text| text.starts_with("READY=1\n"))
                    .then_some(())
            })
            .await;
        }
        exporter.signal("TERM").await;
        let begun = Instant::now();
        assert_eq!(exporter.ended().await.code, Some(0));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
