//! The client credentials grant (RFC 6749 section 4.4): a client speaks for itself. Answers no refresh token
//! (section 4.4.3).

use remint_core::client::Client;

use crate::app::App;
use crate::failure::Failure;
use crate::grant::gate;
use crate::grant::issue::{self, Issued, Wanted};

/// A token of the client's own. `client` is authenticated by its secret.
pub async fn client_credentials(app: &App, client: &Client, wanted: &Wanted) -> Result<Issued, Failure> {
    let permit = gate::may_issue_to_client(client)?;
    issue::for_client(app, permit, wanted, app.clock.now()).await
}
