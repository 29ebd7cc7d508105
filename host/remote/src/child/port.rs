//! How a process is told its port: as a number, or as an address.
//!
//! Invariant: the form changes after each life that was too short to have been the right
//! one, and never again after one that was not.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// A process that lived this long understood how it was told its port.
const UNDERSTOOD: Duration = Duration::from_secs(5);

/// A port, and the form in which the next life of a process is told it.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    form: Form,
    is_understood: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Address,
}

impl Port {
    /// A port that is told as a number first.
    pub(super) const fn new(number: u16) -> Self {
        Self { number, form: Form::Number, is_understood: false }
    }

    /// What the process is told.
    pub(super) fn text(&self) -> String {
        match self.form {
            Form::Number => self.number.to_string(),
            Form::Address => SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.number).to_string(),
        }
    }

    /// Learns how long a process lived that ended by itself.
    pub(super) fn lived(&mut self, life: Duration) {
        self.is_understood |= life >= UNDERSTOOD;
        if !self.is_understood {
            self.form = match self.form {
                Form::Number => Form::Address,
                Form::Address => Form::Number,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_take_turns_until_one_is_understood() {
        let mut port = Port::new(9_090);
        let mut said = Vec::new();
        for seconds in [0, 4, 1, 5, 0, 4] {
            said.push(port.text());
            port.lived(Duration::from_secs(seconds));
        }
        let (number, address) = ("9090", "127.0.0.1:9090");
        assert_eq!(said, [number, address, number, address, address, address]);
    }
}
