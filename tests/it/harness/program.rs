//! Runs the program with any arguments and environment variables, and collects its output.

use std::{
    process::{Output, Stdio},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{TIMEOUT, exporter::command, until};

/// The program with its arguments, before its start.
pub struct Program {
    command: Command,
    folder: tempfile::TempDir,
}

/// A running program. Dropping this struct kills the process.
pub struct Process {
    child: Child,
    out: Written,
    err: Written,
    _folder: tempfile::TempDir,
}

/// The exit code of a process and its complete output.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The text that a process has written to one stream so far, and the task that reads the stream.
pub struct Written {
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Program {
    /// Creates a program with these arguments, without a configuration file and without environment
    /// variables.
    pub fn new(arguments: &[&str]) -> Self {
        Self::configured("", arguments)
    }

    /// Creates a program with this configuration. If the text is empty, there is no configuration file.
    pub fn configured(configuration: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let command = command(&folder, configuration, arguments);
        Self { command, folder }
    }

    /// Sets an environment variable.
    pub fn set(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Makes a shell run `setup` and then the program. Removes variables of earlier `set` calls.
    pub fn after(mut self, setup: &str) -> Self {
        let plain = self.command.as_std();
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!(r#"{setup}; exec "$0" "$@""#)])
            .arg(plain.get_program())
            .args(plain.get_args())
            .env_clear()
            .kill_on_drop(true);
        self.command = shell;
        self
    }

    /// Sets the standard input, which is empty by default.
    pub fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    /// Runs the program until it ends.
    pub async fn run(mut self) -> Ended {
        let output = timeout(TIMEOUT, self.command.output()).await;
        output.expect("it ends").expect("it can be run").into()
    }

    /// Starts the program.
    pub fn start(mut self) -> Process {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let (out, err) = (child.stdout.take(), child.stderr.take());
        Process {
            out: Written::by(out.expect("it is piped")),
            err: Written::by(err.expect("it is piped")),
            child,
            _folder: self.folder,
        }
    }
}

impl Process {
    /// The standard output until now.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// The standard error until now.
    pub fn err(&self) -> String {
        self.err.text()
    }

    /// Waits until the standard error contains `words`.
    pub async fn says(&self, words: &str) {
        let said = || async { self.err().contains(words).then_some(()) };
        until(words, said).await;
    }

    /// Waits until the program listens on `count` addresses, and returns them as `HOST:PORT`.
    pub async fn listens(&self, count: usize) -> Vec<String> {
        // The log has `address=HOST:PORT` or `"address":"HOST:PORT"`.
        let address = |line: &str| {
            let (_, address) = line.split_once("address")?;
            let address = address.trim_start_matches(['=', ':', '"']);
            Some(address.split([' ', '"']).next()?.to_owned())
        };
        until("it listens", || async {
            let log = self.err();
            let lines = log.lines().filter(|line| line.contains("listening"));
            let addresses: Vec<_> = lines.filter_map(address).collect();
            (addresses.len() == count).then_some(addresses)
        })
        .await
    }

    /// The process id of the program.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal to the process.
    pub async fn signal(&self, name: &str) {
        signal(self.pid(), name).await;
    }

    /// Waits until the process ends.
    pub async fn ended(mut self) -> Ended {
        let status = timeout(TIMEOUT, self.child.wait()).await;
        let status = status.expect("it ends").expect("it can be waited for");
        Ended {
            code: status.code(),
            out: self.out.whole().await,
            err: self.err.whole().await,
        }
    }
}

impl Written {
    /// Starts to read a stream.
    pub fn by(mut stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&text);
        let reader = tokio::spawn(async move {
            let mut bytes = Vec::new();
            // A read can end within a character, so only complete lines are decoded.
            while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                let lines = bytes.iter().rposition(|byte| *byte == b'\n');
                let lines = bytes.drain(..lines.map_or(0, |last| last + 1));
                let lines = String::from_utf8(lines.collect()).expect("it writes text");
                collected.lock().unwrap().push_str(&lines);
            }
            let rest = String::from_utf8(bytes).expect("it writes text");
            collected.lock().unwrap().push_str(&rest);
        });
        Self { text, reader }
    }

    /// All lines until now.
    pub fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Waits until the writer closes the stream, and returns the complete output.
    pub async fn whole(self) -> String {
        self.reader.await.expect("the reader does not fail");
        std::mem::take(&mut self.text.lock().unwrap())
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("it writes text"),
            err: String::from_utf8(output.stderr).expect("it writes text"),
        }
    }
}

/// Sends a signal to a process that the test has started.
pub async fn signal(pid: u32, name: &str) {
    let pid = pid.to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status().await;
    assert!(sent.expect("kill runs").success());
}
