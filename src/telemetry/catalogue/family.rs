//! What the catalogue says about one family.

/// One family: everything that is written about it in an exposition, except its samples.
#[derive(Debug)]
pub struct Family {
    /// Its name, in full.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Who gives its samples.
    pub part: Part,
    /// The names of its labels; `username` stands only where usernames are wanted and known.
    pub labels: &'static [&'static str],
    /// What it means: one line of plain text.
    pub help: &'static str,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// May rise and fall.
    Gauge,
    /// Only rises, from 0 at the start of the process. The name ends in `_total`.
    Counter,
    /// Counts of observations by upper bound.
    Histogram,
}

/// Which part of the house gives the samples of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rendered from an account's snapshot, and withheld with it.
    Snapshot,
    /// Rendered from what is known about an account's walks, together with the snapshot.
    Walk,
    /// Counted while the program works, kept in the registry.
    Instruments,
    /// Read from the operating system when it is asked for.
    Process,
    /// Rendered for one answer of `/probe`, and shown nowhere else.
    Probe,
}

impl Kind {
    /// The word after `# TYPE`, the same in both text formats.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

impl Family {
    /// The name that `OpenMetrics` gives the family: a counter's is without `_total`.
    pub fn base_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }

    /// The unit, where the name ends in one (a counter's before `_total`).
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| {
            let stem = self.base_name().strip_suffix(unit);
            stem.is_some_and(|stem| stem.ends_with('_'))
        })
    }

    /// Does the family belong into the output of a single run, which another exporter's text file
    /// collector serves? Only what tells of snapshots, walks and requests does: samples about the
    /// process would pose as those of the collector's own process.
    pub fn is_in_single_run(&self) -> bool {
        match self.part {
            // A single run retrieves nothing, so all would always be pending.
            Part::Walk if self.name == "vobiz_details_pending" => false,
            Part::Snapshot | Part::Walk => true,
            Part::Instruments => {
                self.kind == Kind::Counter && !self.name.starts_with("vobiz_exporter_")
            }
            Part::Process | Part::Probe => false,
        }
    }
}
