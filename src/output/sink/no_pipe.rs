//! Stands in for rows on a pipe in builds without the feature `files`.

use std::io;

use crate::output::sink::RecordTarget;
use crate::output::stream::StreamOutput;
use crate::output::table::columns::Columns;
use crate::output::writer::Lines;
use crate::protocol::singer::log::Log;

/// The sink of a pipe, of which this build has none.
pub enum Pipe {}

impl Pipe {
    pub(super) fn log(&self) -> &Log {
        match *self {}
    }

    pub(super) fn prepare_stream(&mut self, _: &StreamOutput) {
        match *self {}
    }

    pub(super) fn record_target<'a>(&'a mut self, out: &'a mut Lines) -> RecordTarget<'a> {
        RecordTarget::Lines(out)
    }

    pub(super) fn columns(&mut self) -> Option<&mut Columns> {
        match *self {}
    }

    pub(super) fn end_row(&mut self, _: &mut Lines) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn pass_on(&mut self, _: &mut Lines) {
        match *self {}
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        match *self {}
    }

    pub(super) fn finish(&mut self, _: &mut Lines) {
        match *self {}
    }
}
