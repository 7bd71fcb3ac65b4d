//! In what form does a role's agent see what comes from outside? As far as it is said, over what is inherited.

use super::check::Flaw;
use super::page::Page;
use super::raw::RawWayOut;
use bartizan_scan::Form;

/// What a role says of its way out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct WayOut {
    form: Option<Form>,
}

impl WayOut {
    /// The form of the markers around what comes from outside.
    pub(crate) fn form(&self) -> Form {
        self.form.unwrap_or_default()
    }

    /// Parses what a file says, or notes on the page what is wrong with it.
    pub(super) fn read(page: &mut Page<'_>, raw: &RawWayOut) -> Self {
        Self { form: page.take_option(raw.frame.as_ref(), |text| form(text)) }
    }

    /// Puts a later layer's word over this one.
    pub(super) fn overlay(&mut self, later: Self) {
        let earlier = std::mem::replace(self, later);
        self.inherit(&earlier);
    }

    /// Takes from `parent` what is not said here.
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.form = self.form.or(parent.form);
    }
}

fn form(text: &str) -> Result<Form, Flaw> {
    Form::parse(text).ok_or_else(|| {
        let names = Form::ALL.map(|form| format!("\"{}\"", form.name())).join(", ");
        (format!("`{text}` is no form of markers"), Some(format!("write one of {names}")))
    })
}
