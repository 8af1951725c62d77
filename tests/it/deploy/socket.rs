//! Listening sockets from systemd (`--web.systemd-socket`).

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
};

use vobiz_simulator::{Options, Vendor, World};

use super::{run, text};
use crate::harness::{Ended, Process, Program, configuration, get, until};

/// The shell passes its standard input as the first socket, in the same way as systemd.
const ONE_SOCKET: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
const FLAG: &str = "--web.systemd-socket";

async fn vendor() -> Vendor {
    let world = World::still(5, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

fn start(vendor: &Vendor, socket: &TcpListener) -> Process {
    Program::configured(&configuration(vendor, ""), &[FLAG])
        .after(ONE_SOCKET)
        .input(OwnedFd::from(socket.try_clone().unwrap()))
        .start()
}

async fn stopped(process: Process) -> Ended {
    process.signal("TERM").await;
    process.ended().await
}

#[tokio::test]
async fn requests_wait_in_the_socket_of_systemd_while_the_exporter_restarts() {
    let vendor = vendor().await;
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let socket = TcpListener::bind(host).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let first = start(&vendor, &socket);
        assert_eq!(first.listens(1).await, [&*address]);
        assert_eq!(get(&address, "/-/healthy").await.status, 200);
        assert_eq!(stopped(first).await.code, Some(0));

        // No exporter runs now, but the socket still takes a connection and its request.
        let mut waiting = TcpStream::connect(&address).unwrap();
        waiting
            .write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            .unwrap();
        let second = start(&vendor, &socket);
        second.listens(1).await;
        let mut response = String::new();
        waiting.read_to_string(&mut response).unwrap();
        assert!(response.ends_with("\r\n\r\nhealthy\n"), "{response}");
        assert_eq!(stopped(second).await.code, Some(0));
    }
}

#[tokio::test]
async fn without_a_usable_socket_it_exits_with_1_before_any_api_request() {
    let vendor = vendor().await;
    let text = configuration(&vendor, "");
    let program = |setup: &str| Program::configured(&text, &[FLAG]).after(setup);
    let connected = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    };
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let none = "systemd has passed no socket";
    let unusable = "file descriptor 3 from systemd is no TCP socket that listens";
    for (program, message) in [
        (program("true"), none),
        // The sockets belong to another process, or their number is not a number.
        (program("export LISTEN_FDS=1 LISTEN_PID=1"), none),
        (program("export LISTEN_FDS=x LISTEN_PID=$$"), none),
        (program("export LISTEN_FDS=0 LISTEN_PID=$$"), none),
        (
            program("exec 3>&-; export LISTEN_FDS=1 LISTEN_PID=$$"),
            unusable,
        ),
        (program(ONE_SOCKET), unusable),
        (program(ONE_SOCKET).input(OwnedFd::from(udp)), unusable),
        // systemd passes a connection instead of a listening socket if the unit has Accept=yes.
        (
            program(ONE_SOCKET).input(OwnedFd::from(connected)),
            unusable,
        ),
    ] {
        let ended = program.run().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        let begins = format!("--web.systemd-socket: {message}");
        assert!(ended.err.contains(&begins), "{begins} in {ended:?}");
    }
    assert_eq!(vendor.counts().requests, 0);
}

#[tokio::test]
async fn the_flags_of_the_service_fit_the_commands_that_open_no_socket() {
    let vendor = vendor().await;
    for (command, output) in [("--config.check", "is valid"), ("--once", "vobiz_up")] {
        let program = Program::configured(&configuration(&vendor, ""), &[FLAG, command]);
        let ended = program.run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains(output), "{ended:?}");
    }
}

/// A tool of systemd opens two sockets, and starts the exporter at the first connection.
#[tokio::test]
async fn the_first_connection_to_a_socket_of_systemd_starts_the_exporter() {
    let vendor = vendor().await;
    // No other test uses these addresses. The reserved socket keeps the port free.
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = reserved.local_addr().unwrap().port();
    let sockets = ["127.10.59.1", "127.10.59.2"].map(|host| format!("{host}:{port}"));
    let [first, second] = &sockets;
    let tool = format!("exec systemd-socket-activate -l {first} -l {second} \"$0\" \"$@\"");
    let health = "--web.probe-listen-address=127.0.0.1:0";
    let process = Program::configured(&configuration(&vendor, ""), &[FLAG, health])
        .after(&tool)
        .start();
    process.says(&format!("Listening on {second}")).await;
    assert_eq!(vendor.counts().requests, 0);
    assert_eq!(get(first, "/-/healthy").await.status, 200);
    process.says("listening for health checks").await;
    let log = process.err();
    for address in &sockets {
        assert!(log.contains(&format!("address={address}")), "{log}");
        until("it is ready", || async {
            (get(address, "/-/ready").await.status == 200).then_some(())
        })
        .await;
        assert_eq!(get(address, "/metrics").await.status, 200);
    }
    let line = log
        .lines()
        .find(|line| line.contains("listening for health"));
    let (_, address) = line.unwrap().split_once("address=").unwrap();
    assert_eq!(get(address, "/-/healthy").await.status, 200);
    assert_eq!(get(address, "/metrics").await.status, 404);
    assert_eq!(stopped(process).await.code, Some(0));
}

/// The units that `docs/deployment.md` shows.
#[tokio::test]
async fn systemd_accepts_the_documented_socket_unit() {
    let guide = text("docs/deployment.md");
    let block = |name: &str| {
        let begin = format!("# {name}\n");
        let (_, block) = guide.split_once(&begin).expect(name);
        let (block, _) = block.split_once("```").expect("a block ends");
        block.to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let socket = block("/etc/systemd/system/vobiz-exporter.socket");
    let settings = block("/etc/systemd/system/vobiz-exporter.service.d/socket.conf");
    std::fs::create_dir(file("vobiz-exporter.service.d")).unwrap();
    std::fs::write(file("vobiz-exporter.service.d/socket.conf"), settings).unwrap();
    let unit = text("deploy/systemd/vobiz-exporter.service");
    let unit = unit.replace("/usr/bin/vobiz-exporter", super::BINARY);
    std::fs::write(file("vobiz-exporter.service"), unit).unwrap();
    let verify = async |socket: &str| {
        std::fs::write(file("vobiz-exporter.socket"), socket).unwrap();
        let (service, socket) = (
            file("vobiz-exporter.service"),
            file("vobiz-exporter.socket"),
        );
        let verdict = run(
            "systemd-analyze",
            &[&"verify", &"--man=no", &service, &socket],
        )
        .await;
        (verdict.code, format!("{}{}", verdict.out, verdict.err))
    };
    assert_eq!(verify(&socket).await, (Some(0), String::new()));
    let (_, words) = verify(&socket.replace("ListenStream", "ListenStreams")).await;
    assert!(words.contains("ListenStreams"), "{words}");
}
