//! Default, file, environment: three layers, one tree.

use std::path::Path;

use config::{Config, ConfigError, Map, Source, Value, ValueKind, builder::DefaultState};

use super::{DEFAULT_YAML, entry::Section, environment, file, mistake::Report, schema, toml, yaml};

/// The tree of all layers. What is wrong with a layer as such is reported, and left out.
pub(super) fn tree(
    file: Option<&Path>,
    variables: &[(String, String)],
    report: &mut Report,
) -> Value {
    let (default, mistakes) = yaml::read(DEFAULT_YAML, "default.yaml");
    report.mistakes.extend(mistakes);
    let operator = file.map(|file| read(file, report)).unwrap_or_default();
    let mut operator = check(operator, report);

    let has_accounts = match operator.get("accounts").map(|accounts| &accounts.kind) {
        None => false,
        Some(ValueKind::Array(accounts)) => !accounts.is_empty(),
        Some(_) => true,
    };
    let by_environment = environment::default_account(variables, has_accounts, report);
    if let Some(account) = by_environment {
        let place = account.origin().map(str::to_owned);
        let accounts = Value::new(place.as_ref(), vec![account]);
        operator.insert("accounts".to_owned(), accounts);
    }

    let written = layered([&default, &operator], Vec::new(), report);
    let root = Section::root(&written);
    let overrides = environment::overrides(variables, &root, report);
    layered([&default, &operator], overrides, report)
}

fn layered(
    layers: [&Map<String, Value>; 2],
    overrides: Vec<(String, Value)>,
    report: &mut Report,
) -> Value {
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(Layer(layer.clone()));
    }
    let built = overrides
        .into_iter()
        .try_fold(builder, |builder, (path, value)| {
            builder.set_override(path, value)
        })
        .and_then(config::ConfigBuilder::<DefaultState>::build)
        .and_then(|config| config.collect());
    match built {
        Ok(tree) => Value::new(Some(&report.file), tree),
        Err(error) => {
            report.whole("", format!("cannot be layered: {error}"));
            Value::new(None, ValueKind::Nil)
        }
    }
}

/// A finished layer, handed to the `config` crate.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn read(path: &Path, report: &mut Report) -> Map<String, Value> {
    let text = match file::configuration(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            report.incomplete = true;
            let good = error.utf8_error().valid_up_to();
            report.within(error.as_bytes(), good, "is not UTF-8 text");
            return Map::new();
        }
        Err(error) => {
            report.incomplete = true;
            report.whole("", format!("cannot be read: {error}"));
            return Map::new();
        }
    };
    if let Some(at) = text.find('\0') {
        // YAML ends there, in silence.
        report.incomplete = true;
        let wrong = "holds a NUL byte; remove it, or write the file as UTF-8 if it is UTF-16";
        report.within(text.as_bytes(), at, wrong);
        return Map::new();
    }
    let (table, mistakes) = if report.is_toml() {
        toml::read(&text, &report.file)
    } else {
        yaml::read(&text, &report.file)
    };
    report.incomplete = !mistakes.is_empty();
    report.mistakes.extend(mistakes);
    table
}

/// Checks the file's layer while every value still knows its line, which tables forget when layers are
/// merged. Unknown keys of the top level then go (the `config` crate would read `poll.interval` as a
/// path), and so do tables without content (`poll:` with nothing but comments below it), which would
/// hide the default.
fn check(operator: Map<String, Value>, report: &mut Report) -> Map<String, Value> {
    let file = Value::new(None, operator);
    schema::check(&file, &schema::ROOT, "", report);
    let mut operator = file.into_table().unwrap_or_default();
    operator.retain(|key, value| schema::is_top_level(key) && value.kind != ValueKind::Nil);
    operator
}
