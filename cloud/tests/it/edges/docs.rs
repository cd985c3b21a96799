//! What docs/CDN.md tells operators to do.

const PAGE: &str = include_str!("../../../../docs/CDN.md");
const NGINX: &str = include_str!("../../../../cdn/nginx/nginx.conf");
const KEYS: &str = include_str!("../../../../cdn/nginx/keys.map.example");
const VARNISH: &str = include_str!("../../../../cdn/varnish/flagstone.vcl");

/// The commands of the page, block by block: what stands between `&&`, and on lines of its own.
fn blocks() -> Vec<Vec<String>> {
    let blocks = PAGE.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = |block: &str| {
        let joined = block.replace("\\\n", " ").replace("&&\n", "&& ");
        let lines = joined.lines().flat_map(|line| line.split("&&")).map(|command| command.trim().to_owned());
        lines.filter(|command| !command.is_empty()).collect()
    };
    blocks.map(commands).collect()
}

/// The block that fills in this file.
fn block_that_fills(file: &str) -> Vec<String> {
    let fills = |block: &Vec<String>| block.iter().any(|command| command.contains(&format!("< {file} >")));
    blocks().into_iter().find(fills).unwrap()
}

fn at(block: &[String], part: &str) -> usize {
    block
        .iter()
        .position(|command| command.contains(part))
        .unwrap_or_else(|| panic!("no {part} in {block:?}"))
}

#[test]
fn every_value_of_a_configuration_is_given_before_it_is_filled_in() {
    for (file, text) in [("cdn/nginx/nginx.conf", NGINX), ("cdn/varnish/flagstone.vcl", VARNISH)] {
        let block = block_that_fills(file);
        let given = at(&block, "export ");
        assert!(given < at(&block, &format!("< {file} >")), "{file}");
        let values: Vec<_> = text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert!(values.len() >= 5, "{values:?}");
        for value in values {
            assert!(block[given].contains(&format!(" {value}=")), "{file}: {value}");
        }
    }
}

#[test]
fn keys_and_configuration_are_there_before_an_edge_is_started() {
    for (file, keys, starts) in [
        ("cdn/nginx/nginx.conf", "--out /etc/flagstone/keys.map", "nginx -t "),
        ("cdn/varnish/flagstone.vcl", "--out /etc/flagstone/keys.vcl", "varnishd "),
    ] {
        let block = block_that_fills(file);
        assert!(at(&block, keys) < at(&block, starts), "{keys}");
        assert!(at(&block, &format!("< {file} >")) < at(&block, starts), "{file}");
    }
}

/// Debian starts an nginx and a Varnish of its own: whoever is told something without a name is one of those.
#[test]
fn every_command_names_the_edge_that_it_is_for() {
    let (nginx, varnish) = ("-c /etc/flagstone/nginx.conf", "-n /run/flagstone-varnish ");
    for (start, name, least) in [
        ("nginx -t", nginx, 3),
        ("nginx -s ", nginx, 2),
        ("varnishd -", varnish, 1),
        ("varnishadm ", varnish, 3),
    ] {
        let text = format!("{PAGE}\n{KEYS}");
        let ends = |rest: &str| rest.split("&&").next().unwrap().lines().next().unwrap().to_owned();
        let commands: Vec<_> = text.split(start).skip(1).map(ends).collect();
        assert!(commands.len() >= least, "{start}: {commands:?}");
        for rest in commands {
            assert!(rest.contains(name), "{start}{rest}");
        }
    }
}
