//! A page of figures, as the exporter renders it: made anew for each scrape.
//!
//! A recorder of its own for each page is what makes scrapes at the same time right, lets counters
//! begin anew after CONFIG RESETSTAT (the exporter's counters only ever grow), and forgets what is
//! not there any more.

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::commands::server::gathered::Gathered;
use crate::metrics::fractions::Fractions;
use crate::metrics::{cluster, commands, node, replication, shards};

/// Where the exporter is told that a figure comes from.
const ORIGIN: Metadata<'static> = Metadata::new("keylane", Level::INFO, None);

/// A page in the making.
#[derive(Debug)]
pub struct Page {
    recorder: PrometheusRecorder,
    /// Lines that the exporter cannot write.
    pub fractions: Fractions,
}

/// What a figure is called, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// `keylane_...`, or `redis_...` if it is there for redis_exporter's sake.
    pub name: &'static str,
    /// In a sentence.
    pub help: &'static str,
}

/// Labels of one series.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// The page as it is now.
pub fn page(gathered: &Gathered<'_>) -> String {
    let mut page = Page { recorder: recorder(), fractions: Fractions::default() };
    node::write(gathered, &mut page);
    replication::write(gathered, &mut page);
    cluster::write(gathered, &mut page);
    shards::write(gathered, &mut page);
    commands::write(gathered, &mut page);
    let mut text = page.recorder.handle().render();
    page.fractions.render(&mut text);
    text
}

/// Lets the exporter do now what it does once in a process: its clock measures itself, for up to
/// a fifth of a second.
pub fn warm_up() {
    recorder();
}

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

impl Page {
    /// Adds a counter.
    pub fn count(&mut self, name: Name, labels: Labels<'_>, count: u64) {
        self.recorder.describe_counter(key_name(name), None, name.help.into());
        self.recorder.register_counter(&key(name, labels), &ORIGIN).absolute(count);
    }

    /// Adds a gauge.
    pub fn gauge(&mut self, name: Name, labels: Labels<'_>, value: f64) {
        self.recorder.describe_gauge(key_name(name), None, name.help.into());
        self.recorder.register_gauge(&key(name, labels), &ORIGIN).set(value);
    }
}

fn key_name(name: Name) -> KeyName {
    KeyName::from_const_str(name.name)
}

fn key(name: Name, labels: Labels<'_>) -> Key {
    let label = |(label, value): &(&'static str, &str)| Label::new(*label, (*value).to_owned());
    Key::from_parts(name.name, labels.iter().map(label).collect::<Vec<_>>())
}
