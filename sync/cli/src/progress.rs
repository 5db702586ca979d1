//! Progress of long work, on standard error, and only where a person looks at it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// A bar for `total` units of work; a spinner where nobody knows how many there are. Draws nothing unless standard
/// error is a terminal.
pub(crate) fn bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{prefix} [{bar:30}] {percent:>3}% {msg} {elapsed}"),
        None => (ProgressBar::new_spinner(), "{prefix} {spinner} {msg} {elapsed}"),
    };
    let style = ProgressStyle::with_template(template).expect("the template is fixed and valid");
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(what);
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    bar
}
