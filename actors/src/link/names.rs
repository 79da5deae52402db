//! The addresses of the instances that frames go to and come for: nearly all are for a few, so these
//! are encoded and decoded once.

use std::cell::RefCell;

use bytes::Bytes;
use maftia_core::path::InstanceId;

use super::parcel::{self, BadParcel};

/// How many are remembered: the instances of a replica that are busy at a time, and some to spare. A
/// peer that sends to many others has those forgotten, and nothing else.
const NAMES_MAX: usize = 8;

/// Instances and their encoded addresses.
#[derive(Debug, Default)]
pub(super) struct Names(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    names: Vec<(InstanceId, Bytes)>,
    /// Which of them the next new one replaces, when there are enough.
    next: usize,
}

impl Names {
    /// The address of an instance.
    pub(super) fn address(&self, instance: &InstanceId) -> Result<Bytes, BadParcel> {
        let found = |known: &Known| {
            let (_, address) = known.names.iter().find(|(name, _)| name == instance)?;
            Some(address.clone())
        };
        if let Some(address) = found(&self.0.borrow()) {
            return Ok(address);
        }
        let address = parcel::address_of(instance)?;
        self.0.borrow_mut().keep(instance.clone(), address.clone());
        Ok(address)
    }

    /// The instance with an address that came from a peer.
    pub(super) fn instance(&self, address: &[u8]) -> Result<InstanceId, BadParcel> {
        let found = |known: &Known| {
            let (instance, _) = known.names.iter().find(|(_, known)| known == address)?;
            Some(instance.clone())
        };
        if let Some(instance) = found(&self.0.borrow()) {
            return Ok(instance);
        }
        let instance = parcel::instance_of(address)?;
        // A slice of the frame would keep all of it.
        self.0.borrow_mut().keep(instance.clone(), Bytes::copy_from_slice(address));
        Ok(instance)
    }
}

impl Known {
    fn keep(&mut self, instance: InstanceId, address: Bytes) {
        if self.names.len() < NAMES_MAX {
            return self.names.push((instance, address));
        }
        self.names[self.next] = (instance, address);
        self.next = (self.next + 1) % NAMES_MAX;
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::path::Role;

    use super::*;
    use crate::link::tests::orders;

    #[test]
    fn names_are_right_whether_they_are_known_or_not() {
        let names = Names::default();
        for number in (0..3 * NAMES_MAX as u64).chain(0..3).cycle().take(200) {
            let instance = orders().child(Role::Round.at(number));
            let address = names.address(&instance).unwrap();
            assert_eq!(address, parcel::address_of(&instance).unwrap());
            assert_eq!(names.instance(&address), Ok(instance));
            assert!(names.instance(&address[..address.len() - 1]).is_err());
        }
        assert_eq!(names.0.borrow().names.len(), NAMES_MAX);
    }
}
