//! An M that is there, whichever way it was come by, and what that took.
//!
//! There are three ways: a method sets it up ([`Ready::set_up`]), a file has it
//! ([`Opened::load`](crate::persist::Opened::load)), or that of another system is refreshed ([`Kept`](crate::instance::Kept),
//! which goes one of the others where it cannot).
use crate::instance::Instance;
use crate::persist::no_persist;
use crate::precond::Identity;
use crate::registry::DynGenerator;
use crate::system::System;
use crate::{Error, Result};
use serde_json::Value;
use std::time::{Duration, Instant};

/// An M that is there.
pub struct Ready {
    m: Box<dyn Instance>,
    /// The time that it took to get it, on this rank.
    pub taken: Duration,
    /// What to tell of how it was come by.
    remarks: Vec<String>,
}

impl Ready {
    /// Sets M up. Collective over the system's ranks.
    ///
    /// # Errors
    /// As [`DynGenerator::generate`].
    pub fn set_up(method: &dyn DynGenerator, params: &Value, system: &System) -> Result<Self> {
        let start = Instant::now();
        let m = method.generate(params, system)?;
        Ok(Ready::new(m, start.elapsed(), Vec::new()))
    }

    /// M = I, which takes no time.
    pub fn identity() -> Self {
        Ready::new(Box::new(Identity), Duration::ZERO, Vec::new())
    }

    /// An M that took so long, and what there is to tell of how it was come by.
    pub fn new(m: Box<dyn Instance>, taken: Duration, remarks: Vec<String>) -> Self {
        Ready { m, taken, remarks }
    }

    /// The same for new values on the pattern that it was made for, in a time that is not known; nothing where the method cannot, or the pattern is
    /// another one. Collective over the system's ranks.
    ///
    /// # Errors
    /// What the method reports; M is lost.
    pub(crate) fn refreshed(
        mut self,
        method: &dyn DynGenerator,
        system: &System,
    ) -> Result<Option<Self>> {
        if !method.capabilities().refresh {
            return Ok(None);
        }
        match self.m.refresh(system) {
            Ok(()) => Ok(Some(Ready::new(self.m, Duration::ZERO, Vec::new()))),
            Err(Error::PatternChanged) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// M.
    pub fn m(&self) -> &dyn Instance {
        &*self.m
    }

    /// M alone.
    pub fn into_m(self) -> Box<dyn Instance> {
        self.m
    }

    /// What there is to tell of how M was come by.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What there is to tell: of how M was come by, and what M says itself.
    pub fn notes(&self) -> Vec<String> {
        [self.remarks(), &self.m.notes()].concat()
    }
}

/// The identity is that of every system.
impl Instance for Identity {
    fn refresh(&mut self, _: &System) -> Result<()> {
        Ok(())
    }
    fn save(&self) -> Result<Vec<u8>> {
        Err(no_persist("the identity"))
    }
}
