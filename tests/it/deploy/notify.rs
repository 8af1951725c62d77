//! What a service manager hears from the exporter, over a real socket.

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

/// Everything that was said so far, with the time at which it came.
type Heard = Arc<Mutex<Vec<(Instant, String)>>>;

/// A service manager's ear: its socket in the file system or in the abstract namespace.
struct Manager {
    _folder: tempfile::TempDir,
    socket: String,
    heard: Heard,
}

impl Manager {
    fn by_path() -> Self {
        let (ear, path, folder) = ear();
        Self::listening(ear, path, folder)
    }

    fn by_name() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("vobiz-exporter{}", folder.path().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let ear = StdDatagram::bind_addr(&address).unwrap();
        Self::listening(ear, format!("@{name}"), folder)
    }

    fn listening(ear: StdDatagram, socket: String, folder: tempfile::TempDir) -> Self {
        ear.set_nonblocking(true).unwrap();
        let ear = UnixDatagram::from_std(ear).unwrap();
        let heard = Heard::default();
        let notes = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut message = [0; 4096];
            while let Ok(length) = ear.recv(&mut message).await {
                let words = String::from_utf8(message[..length].to_vec()).expect("text");
                notes.lock().unwrap().push((Instant::now(), words));
            }
        });
        Self {
            _folder: folder,
            socket,
            heard,
        }
    }

    /// All messages but the signs of life.
    fn words(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let words = heard.iter().map(|(_, words)| words.clone());
        words.filter(|words| words != "WATCHDOG=1").collect()
    }

    fn signs_of_life(&self) -> Vec<Instant> {
        let heard = self.heard.lock().unwrap();
        let signs = heard.iter().filter(|(_, words)| words == "WATCHDOG=1");
        signs.map(|(at, _)| *at).collect()
    }

    async fn hears(&self, words: &str) {
        let heard = || async { self.words().iter().any(|one| one == words).then_some(()) };
        until(words, heard).await;
    }
}

/// A socket that nobody reads yet, and where it is.
fn ear() -> (StdDatagram, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let ear = StdDatagram::bind(&path).unwrap();
    (ear, path.to_str().unwrap().to_owned(), folder)
}

/// A configuration for a vendor that takes every connection and never answers.
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
        manager.hears("STATUS=1 account, all up").await;
        vendor.stop().await;
        manager
            .hears("STATUS=1 account: 0 up, 1 failed their last walk")
            .await;
        exporter.signal("TERM").await;
        assert_eq!(exporter.ended().await.code, Some(0));
        let words = manager.words();
        assert_eq!(words.first().unwrap(), "STATUS=reading the configuration");
        // The first walk may be over before anybody looks.
        assert!(words[1].starts_with("READY=1\nSTATUS="), "{words:?}");
        let last = "STOPPING=1\nSTATUS=finishing answers under way";
        assert_eq!(words.last().unwrap(), last, "{words:?}");
        let ready = words.iter().filter(|words| words.contains("READY=1"));
        assert_eq!(ready.count(), 1, "{words:?}");
        assert!(manager.signs_of_life().is_empty(), "nobody asked for them");
    }
}

#[tokio::test]
async fn a_vendor_that_hangs_delays_neither_readiness_nor_a_sign_of_life() {
    let manager = Manager::by_path();
    let (vendor, text) = hanging().await;
    let exporter = Program::configured(&text, &[LISTEN])
        .set("NOTIFY_SOCKET", &manager.socket)
        .set("WATCHDOG_USEC", "400000")
        .start();
    let waiting = "READY=1\nSTATUS=first walks: 0 of 1 account finished, 0 of them failed";
    manager.hears(waiting).await;
    let (_walk, _) = vendor.accept().await.unwrap();
    until("twelve signs of life", || async {
        (manager.signs_of_life().len() >= 12).then_some(())
    })
    .await;
    // On average they come in half of the time; that one is late is the machine's business.
    let signs = manager.signs_of_life();
    let apart = (signs[11] - signs[0]) / 11;
    assert!(
        apart > Duration::from_millis(150) && apart < Duration::from_millis(400),
        "{apart:?}"
    );
    assert_eq!(manager.words().len(), 2, "{:?}", manager.words());

    exporter.signal("TERM").await;
    assert_eq!(exporter.ended().await.code, Some(0));
    let words = manager.words();
    assert!(
        words.last().unwrap().starts_with("STOPPING=1\n"),
        "{words:?}"
    );
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
    manager.hears("STATUS=reading the configuration").await;
    let words = manager.words();
    assert!(
        !words.iter().any(|words| words.contains("READY")),
        "{words:?}"
    );
}

#[tokio::test]
async fn a_manager_that_is_gone_does_not_keep_the_exporter_from_its_work() {
    let vendor = Vendor::start(World::still(5, 7), Options::default())
        .await
        .unwrap();
    for socket in ["/nonexistent/notify", "@nobody/listens/here", "nonsense"] {
        let exporter = Program::configured(&configuration(&vendor, ""), &[LISTEN])
            .set("NOTIFY_SOCKET", socket)
            .start();
        exporter.says("walk published").await;
        exporter.signal("TERM").await;
        let ended = exporter.ended().await;
        assert_eq!(ended.code, Some(0));
        let is_told = ended.err.contains("cannot notify the service manager");
        assert_eq!(is_told, socket != "nonsense", "{}", ended.err);
    }
}

#[tokio::test]
async fn a_busy_manager_receives_readiness_later_and_delays_nothing() {
    let vendor = Vendor::start(World::still(5, 7), Options::default())
        .await
        .unwrap();
    for listens_at_last in [true, false] {
        let (ear, socket, folder) = ear();
        let noise = StdDatagram::unbound().unwrap();
        noise.set_nonblocking(true).unwrap();
        while noise.send_to(b"X_OTHERS=1", &socket).is_ok() {}

        let exporter = Program::configured(&configuration(&vendor, ""), &[LISTEN])
            .set("NOTIFY_SOCKET", &socket)
            .start();
        exporter.says("walk published").await;
        if listens_at_last {
            let manager = Manager::listening(ear, socket, folder);
            until("the manager hears", || async {
                let words = manager.words();
                words
                    .iter()
                    .any(|words| words.starts_with("READY=1\n"))
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
