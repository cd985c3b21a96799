//! Sends the table of requests to an edge, whoever made it (docs/CDN.md, "Another edge").
//!
//! ```sh
//! cargo run -p flagstone-cloud --example edge                    # what it must know and have before
//! cargo run -p flagstone-cloud --example edge -- 8081            # an edge at 127.0.0.1:8081
//! cargo run -p flagstone-cloud --example edge -- 8081 HOST       # asked as HOST, through a tunnel that speaks TLS
//! cargo run -p flagstone-cloud --example edge -- 8081 HOST cloudfront
//! ```
//!
//! The last takes what docs/CDN.md says that CloudFront answers otherwise: what a bucket says of a missing object.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::process::ExitCode;

use flagstone_cloud::requests::Table;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let table = Table::shipped()?;
    let mut arguments = std::env::args().skip(1);
    let Some(port) = arguments.next() else {
        needs(&table)?;
        return Ok(ExitCode::SUCCESS);
    };
    let (port, host) = (port.parse()?, arguments.next());
    let is_cloudfront = match arguments.next().as_deref() {
        None => false,
        Some("cloudfront") => true,
        Some(other) => {
            return Err(format!("{other} is no edge that answers otherwise: say cloudfront").into());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let failed = runtime.block_on(send(&table, port, host.as_deref(), is_cloudfront))?;
    writeln!(stdout(), "{} passed, {failed} failed", table.rows().len() - failed)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The table's keys, as nginx has them, and its objects.
fn needs(table: &Table) -> std::io::Result<()> {
    for key in table.edge_keys() {
        writeln!(stdout(), "{} {};", key.sha256(), key.scope())?;
    }
    for object in table.objects() {
        writeln!(stdout(), "{}: {}", object.path, object.body)?;
    }
    Ok(())
}

async fn send(table: &Table, port: u16, host: Option<&str>, is_cloudfront: bool) -> std::io::Result<usize> {
    let mut failed = 0;
    for row in table.rows() {
        let answer = table.ask(row, port, host).await?;
        let faults =
            if is_cloudfront { table.faults_of_cloudfront(row, &answer) } else { table.faults(row, &answer) };
        failed += usize::from(!faults.is_empty());
        for fault in faults {
            writeln!(stdout(), "{}: {fault}", row.name)?;
        }
    }
    Ok(failed)
}
