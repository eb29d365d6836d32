//! Backups encrypted with age.

use age::secrecy::ExposeSecret;
use viraldb::ops::backup;

use super::*;
use crate::support::both;

both! {
    fn encrypted_backup_needs_the_identity(t) {
        with_rows(t, 4);
        let (mine, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        t.file("mine.txt", format!("# a key\n{}\n", mine.to_string().expose_secret()));
        t.file("other.txt", other.to_string().expose_secret());
        let recipient = mine.to_public().to_string();
        let said = t.ok(&["backup", "create", "--recipient", &recipient, "--to", "sealed"]);
        assert!(said.contains(".zst.age"), "{said}");
        let listed: Vec<Value> = serde_json::from_str(&t.ok(&["backup", "list", "--in", "sealed", "--format", "json"])).unwrap();
        assert_eq!(listed[0]["sealed"], true);
        let file = listed[0]["file"].as_str().unwrap();
        assert!(std::fs::read(t.path(file)).unwrap().starts_with(b"age-encryption.org/v1"));
        for (args, said) in [
            (&["backup", "verify", file, "--identity", "other.txt"][..], "cannot be decrypted"),
            (&["backup", "verify", file, "--passphrase-file", "other.txt"], "cannot be decrypted"),
        ] {
            let ran = t.run(args);
            assert!(ran.code == 4 && ran.out.contains(said), "{}{}", ran.out, ran.err);
        }
        let ran = t.run(&["backup", "verify", file, "--identity", "nowhere.txt"]);
        assert!(ran.code == 1 && ran.err.contains("nowhere.txt"), "{}{}", ran.out, ran.err);
        // The checksum can be verified without the key.
        assert!(t.ok(&["backup", "verify", file]).ends_with("  intact, compared with its sum\n"));
        let ran = t.run(&["backup", "drill", "--in", "sealed"]);
        assert!(ran.code == 1 && ran.err.contains("is encrypted; give --identity FILE or --passphrase-file FILE"), "{}", ran.err);
        t.ok(&["backup", "verify", file, "--identity", "mine.txt"]);
        t.ok(&["backup", "drill", "--in", "sealed", "--identity", "mine.txt"]);
        add(&t.db(), 1);
        assert_eq!(t.run(&["restore", "--yes", file]).code, 1);
        assert_eq!(videos(t), 5);
        t.ok(&["restore", "--yes", file, "--identity", "mine.txt"]);
        assert_eq!(videos(t), 4);
        let ran = t.run(&["backup", "create", "--recipient", "age1nonsense"]);
        assert!(ran.code == 1 && ran.err.contains("recipient \"age1nonsense\""), "{}", ran.err);
        let ran = t.run(&["backup", "create", "--recipient", &recipient, "--to", "x.zst"]);
        assert!(ran.code == 1 && ran.err.contains(".zst.age"), "{}", ran.err);
        // Pruning does not need the key.
        t.ok(&["backup", "create", "--recipient", &recipient, "--to", "sealed"]);
        assert_eq!(t.ok(&["backup", "prune", "--in", "sealed", "--keep", "1"]).lines().count(), 1);
    }

    fn encrypted_backup_needs_the_passphrase(t) {
        with_rows(t, 4);
        t.file("words", "planted battery staple\n");
        t.file("wrong", "planted\n");
        t.file("none", "");
        t.ok(&["backup", "create", "--passphrase-file", "words", "--to", "x.zst.age"]);
        assert_eq!(t.run(&["backup", "verify", "x.zst.age", "--passphrase-file", "wrong"]).code, 4);
        t.ok(&["backup", "verify", "x.zst.age", "--passphrase-file", "words"]);
        t.ok(&["restore", "--yes", "x.zst.age", "--passphrase-file", "words"]);
        assert_eq!(videos(t), 4);
        let ran = t.run(&["backup", "create", "--passphrase-file", "none", "--to", "y"]);
        assert!(ran.code == 1 && ran.err.contains("is empty") && !t.path("y").exists(), "{}", ran.err);
    }

    fn unencrypted_backup_is_rejected_when_a_key_is_given(t) {
        with_rows(t, 4);
        let identity = age::x25519::Identity::generate();
        t.file("mine.txt", identity.to_string().expose_secret());
        t.file("words", "planted battery staple\n");
        t.ok(&["backup", "create", "--passphrase-file", "words", "--to", "backups"]);
        let file = back_up(t); // The newest backup in the folder.
        add(&t.db(), 1);
        let file = file.to_str().unwrap();
        for key in [["--identity", "mine.txt"], ["--passphrase-file", "words"]] {
            for (args, code) in [
                (&["restore", "--yes", file][..], 1),
                (&["backup", "drill", "--in", "backups"], 1),
                (&["backup", "verify", file], 4),
                (&["backup", "verify", "--in", "backups"], 4),
            ] {
                let args = [args, &key].concat();
                let ran = t.run(&args);
                let said = format!("{}{}", ran.out, ran.err);
                assert!(ran.code == code && said.contains("is not encrypted") && said.contains("--allow-unencrypted"), "{args:?}: {said}");
            }
            assert_eq!(videos(t), 5);
            for args in [&["backup", "drill", "--in", "backups"][..], &["backup", "verify", file], &["restore", "--yes", file]] {
                t.ok(&[args, &key, &["--allow-unencrypted"]].concat());
            }
            assert_eq!(videos(t), 4);
            add(&t.db(), 1);
        }
        // A manifest that claims the opposite changes nothing.
        let manifest = backup::Manifest::path_of(Path::new(file));
        let claimed = std::fs::read_to_string(&manifest).unwrap().replace("\"sealed\": false", "\"sealed\": true");
        std::fs::write(&manifest, claimed).unwrap();
        assert_eq!(t.run(&["restore", "--yes", file, "--passphrase-file", "words"]).code, 1);
        assert_eq!(videos(t), 5);
        // Without a key nothing has changed, and the library decides in the same way.
        t.ok(&["restore", "--yes", file]);
        let unseal = backup::Unseal::identity(t.path("mine.txt"));
        let error = backup::verify(Path::new(file), Some(&unseal), &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("is not encrypted"), "{error}");
        backup::verify(Path::new(file), Some(&unseal.allow_unencrypted()), &mut |_| ()).unwrap();
    }
}
