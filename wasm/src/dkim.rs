//! Signatures.

use std::cell::RefCell;
use std::time::Duration;

use starttls::smtp::dkim;
use zeroize::Zeroizing;

use crate::Component;
use crate::exports::dkim::{Guest, GuestSigner, Signer};
use crate::exports::types::Error;

impl Guest for Component {
    type Signer = Key;
}

/// Who signs, and how.
pub(crate) struct Key(RefCell<dkim::Signer>);

impl GuestSigner for Key {
    fn create(domain: String, selector: String, key: Vec<u8>) -> Result<Signer, Error> {
        let signer = dkim::Signer::new(&domain, &selector, &Zeroizing::new(key))?;
        Ok(Signer::new(Self(RefCell::new(signer))))
    }

    fn set_fields(&self, names: Vec<String>) -> Result<(), Error> {
        let changed = self.0.borrow().clone().fields(names)?;
        self.0.replace(changed);
        Ok(())
    }

    fn set_lifetime(&self, lifetime: u64) {
        let changed = self.0.borrow().clone().expires_after(Duration::from_nanos(lifetime));
        self.0.replace(changed);
    }

    fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, Error> {
        Ok(self.0.borrow().sign(&message)?)
    }
}
