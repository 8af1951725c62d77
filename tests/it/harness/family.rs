//! The structure of an exposition: its families and their samples.

/// One metric family in an exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name of the family in its `TYPE` line.
    pub name: String,
    pub kind: String,
    pub help: String,
    /// The `UNIT` metadata, which only `OpenMetrics` has.
    pub unit: Option<String>,
    pub samples: Vec<Sample>,
}

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    /// The names of the labels, and the values in their escaped form.
    pub labels: Vec<(String, String)>,
    pub line: String,
}

impl Family {
    /// Parses the Prometheus text format and `OpenMetrics`. Panics if a family occurs twice, or if a
    /// sample is not below the metadata of its own family.
    pub fn read(text: &str) -> Vec<Self> {
        let mut families: Vec<Self> = Vec::new();
        for line in text.lines() {
            if line == "# EOF" {
                continue;
            }
            let Some(metadata) = line.strip_prefix("# ") else {
                let sample = Sample::read(line);
                let family = families.last_mut().expect("metadata stands first");
                assert!(family.owns(&sample.name), "{line} below {}", family.name);
                family.samples.push(sample);
                continue;
            };
            let mut words = metadata.splitn(3, ' ');
            let mut word = || words.next().expect("keyword, name, text").to_owned();
            let (keyword, name, text) = (word(), word(), word());
            if families.last().is_none_or(|last| last.name != name) {
                let before = families.iter().any(|known| known.name == name);
                assert!(!before, "the family stands twice: {name}");
                families.push(Self::named(name));
            }
            let family = families.last_mut().expect("it was pushed");
            match keyword.as_str() {
                "HELP" => family.help = text,
                "TYPE" => family.kind = text,
                "UNIT" => family.unit = Some(text),
                other => panic!("{other} in {line}"),
            }
        }
        families
    }

    fn named(name: String) -> Self {
        Self {
            name,
            kind: String::new(),
            help: String::new(),
            unit: None,
            samples: Vec::new(),
        }
    }

    /// Whether a sample of this name belongs to the family in the text format or in `OpenMetrics`.
    fn owns(&self, sample: &str) -> bool {
        let suffix = sample.strip_prefix(self.name.as_str());
        match self.kind.as_str() {
            "counter" => matches!(suffix, Some("" | "_total")) && sample.ends_with("_total"),
            "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
            _ => suffix == Some(""),
        }
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let number: Result<f64, _> = value.parse();
        number.unwrap_or_else(|_| panic!("no number, or more than one: {line}"));
        let (name, mut rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels = Vec::new();
        while rest != "}" {
            let (label, value) = rest.split_once("=\"").expect("a label has a value");
            let mut escaped = false;
            let end = value.find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            });
            let (value, after) = value.split_at(end.expect("a value has an end"));
            labels.push((label.to_owned(), value.to_owned()));
            rest = after[1..].strip_prefix(',').unwrap_or(&after[1..]);
        }
        Self {
            name: name.to_owned(),
            labels,
            line: line.to_owned(),
        }
    }
}
