//! Receipts: "the keys are destroyed", signed while there is a key to sign with.

use keepwell_fhir::Instant;
use keepwell_protocol::{Base64, WipeOrder, WipeReceipt};
use keepwell_tls::Signer;

use crate::error::Result;

/// The receipt for an order that is about to be followed.
pub(crate) fn receipt(order: &WipeOrder, at: Instant, key: &dyn Signer) -> Result<WipeReceipt> {
    let WipeOrder { id, tenant, device, .. } = order.clone();
    let mut receipt = WipeReceipt { id, tenant, device, at, sig: Base64::default() };
    receipt.sig = Base64(key.sign(&receipt.signed_bytes())?);
    Ok(receipt)
}
