//! The client credentials grant (RFC 6749 section 4.4): a client speaks for itself, to an api or, with the admin API's
//! name in `resource`, to the server. Answers no refresh token (section 4.4.3).

use remint_core::client::Client;

use crate::app::App;
use crate::failure::Failure;
use crate::grant::gate;
use crate::grant::issue::{self, Issued, Wanted};

/// A token of the client's own. `client` is authenticated by its secret.
pub async fn client_credentials(app: &App, client: &Client, wanted: &Wanted) -> Result<Issued, Failure> {
    let admin = app.settings.issuer.admin();
    let only_administers = client.apis.is_empty() && wanted.resource.is_none();
    if only_administers || wanted.resource.as_ref() == Some(admin) {
        return issue::for_administrator(app, gate::may_administer(client)?, wanted, app.clock.now());
    }
    let permit = gate::may_issue_to_client(client)?;
    issue::for_client(app, permit, wanted, app.clock.now()).await
}
