//! Writes the samples of scrapes into blocks.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use vobiz_exporter::clock::UnixMillis;

use super::exporter::Exporter;
use crate::harness::tool;

/// The length of a Prometheus block in milliseconds. Blocks start at multiples of this length.
const BLOCK: i64 = 2 * 3600 * 1000;

/// Samples that are being written into a data folder.
pub struct Scrapes<'a> {
    data: PathBuf,
    keeps: &'a dyn Fn(&str) -> bool,
    open: Option<Open>,
    /// The process that converts the previous file to a block while the test writes the next file.
    promtool: Option<(Child, PathBuf)>,
    samples: u64,
}

/// The file of the next block.
struct Open {
    number: i64,
    path: PathBuf,
    file: BufWriter<File>,
}

impl<'a> Scrapes<'a> {
    pub fn into(data: &Path, keeps: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            data: data.to_owned(),
            keeps,
            open: None,
            promtool: None,
            samples: 0,
        }
    }

    /// Adds the current samples of the exporter, and three of the samples that Prometheus adds to
    /// each scrape.
    pub fn add(&mut self, at: UnixMillis, exporter: &Exporter) {
        let exposition = exporter.text();
        let target = "job=\"vobiz-exporter\",instance=\"vobiz-exporter:10059\"";
        let time = at.as_seconds();
        let mut text = String::with_capacity(exposition.len() * 3 / 2);
        let mut samples = 0_u32;
        for line in exposition.lines() {
            // The process metrics describe the test process, not an exporter, so they are left out.
            if line.starts_with('#') || line.starts_with("process_") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            if !(self.keeps)(name) {
                continue;
            }
            let (and, end) = if labels.is_empty() {
                ("", "}")
            } else {
                (",", "")
            };
            writeln!(text, "{name}{{{target}{and}{labels}{end} {value} {time}").unwrap();
            samples += 1;
        }
        for (name, value) in [
            ("up", 1.0),
            ("scrape_samples_scraped", f64::from(samples)),
            ("scrape_duration_seconds", 0.02),
        ] {
            writeln!(text, "{name}{{{target}}} {value} {time}").unwrap();
        }
        self.samples += u64::from(samples) + 3;
        self.block(at.0.div_euclid(BLOCK))
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn block(&mut self, number: i64) -> &mut BufWriter<File> {
        if self.open.as_ref().is_some_and(|open| open.number != number) {
            self.close();
        }
        let data = &self.data;
        let open = self.open.get_or_insert_with(|| {
            let path = data.with_file_name(format!("{number}.om"));
            let file = BufWriter::new(File::create(&path).unwrap());
            Open { number, path, file }
        });
        &mut open.file
    }

    fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.file.write_all(b"# EOF\n").unwrap();
        open.file.into_inner().unwrap();
        self.wait();
        let promtool = Command::new(tool("PROMTOOL", "promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
            .args([&open.path, &self.data])
            .spawn();
        self.promtool = Some((promtool.unwrap(), open.path));
    }

    fn wait(&mut self) {
        if let Some((mut promtool, file)) = self.promtool.take() {
            assert!(promtool.wait().unwrap().success());
            fs::remove_file(file).unwrap();
        }
    }

    /// Writes the last block and returns the total number of samples.
    pub fn end(mut self) -> u64 {
        self.close();
        self.wait();
        self.samples
    }
}
