//! Empty lists: people see a message on stderr, programs get an empty list on stdout.

use crate::support::both;

both! {
    fn empty_list_is_reported_on_stderr(t) {
        t.db();
        for (args, expected) in [
            (&["videos", "list"] as &[&str], "no videos"),
            (&["runs", "list"], "no runs"),
            (&["reviews", "list"], "no reviews"),
            (&["reviews", "list", "--open"], "no open reviews"),
            (&["reviews", "hold"], "no overdue reviews"),
            (&["jobs", "list"], "no jobs"),
            (&["jobs", "claim", "--worker", "w"], "no due jobs"),
            (&["jobs", "stats"], "no jobs"),
            (&["channels", "list"], "no channels"),
            (&["presets", "list"], "no presets"),
            (&["music", "list"], "no tracks"),
            (&["trends", "list"], "no trends"),
            (&["errors", "list"], "no unresolved errors"),
            (&["errors", "list", "--all"], "no errors"),
            (&["backup", "list"], "no backups"),
            (&["config", "history", "cycle_hours"], "no changes of cycle_hours"),
        ] {
            let run = |more: &[&str]| {
                let all: Vec<&str> = args.iter().chain(more).copied().collect();
                let ran = t.run(&all);
                (ran.code, ran.out, ran.err)
            };
            assert_eq!(run(&[]), (0, String::new(), format!("{expected}\n")), "{args:?}");
            assert_eq!(run(&["--quiet"]), (0, String::new(), String::new()), "{args:?}");
            assert_eq!(run(&["--format", "json"]), (0, "[]\n".to_owned(), String::new()), "{args:?}");
            assert_eq!(run(&["--format", "jsonl"]), (0, String::new(), String::new()), "{args:?}");
            let (code, out, err) = run(&["--format", "csv"]);
            assert!(code == 0 && out.lines().count() == 1 && err.is_empty(), "{args:?}: {out}{err}");
        }
    }

    fn status_of_a_video_is_a_word_for_people_and_a_number_for_programs(t) {
        t.ok(&["init", "--sample"]);
        let args = ["videos", "list", "--limit", "1", "--columns", "processed,video_id"];
        let printed = |format: &str| t.ok(&[&args[..], &["--format", format]].concat());
        let video = printed("csv").lines().last().unwrap().split(',').next_back().unwrap().to_owned();
        for (number, word) in [(0, "pending"), (1, "used"), (2, "skipped"), (3, "rejected")] {
            t.ok(&["videos", "mark", &video, word]);
            assert_eq!(printed("table").lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), [word, &video]);
            assert_eq!(printed("csv").lines().last(), Some(&*format!("{number},{video}")));
            assert!(printed("jsonl").contains(&format!("\"processed\":{number},")));
            assert_eq!(t.ok(&["videos", "show", &video, "--columns", "processed"]), format!("processed  {word}\n"));
        }
    }

    fn unknown_niche_is_reported_with_the_known_niches(t) {
        t.db();
        let run = |args: &[&str]| {
            let ran = t.run(args);
            assert_eq!((ran.code, &*ran.out), (0, ""), "{}", ran.err);
            ran.err
        };
        let none_yet = "no pending videos: unknown niche \"gamin\"; no niche has videos yet; add them with `viraldb ingest`\n";
        assert_eq!(run(&["videos", "pending", "gamin"]), none_yet);
        t.ok(&["init", "--sample"]);
        let text = run(&["videos", "pending", "gamin"]);
        assert!(text.starts_with("no pending videos: unknown niche \"gamin\"; known niches: "), "{text}");
        assert!(text.contains("gaming"), "{text}");
        let text = run(&["videos", "list", "--niche", "gamin"]);
        assert!(text.starts_with("no videos: unknown niche \"gamin\"; known niches: "), "{text}");
        let text = run(&["runs", "list", "--niche", "gamin"]);
        assert!(text.starts_with("no runs: unknown niche \"gamin\"; known niches: "), "{text}");
        assert_eq!(run(&["runs", "list", "--niche", "gaming"]), "no runs in niche gaming\n");

        t.db().write(|c| crate::make::execute(c, "UPDATE discovered_videos SET processed = 2")).unwrap();
        assert_eq!(run(&["videos", "pending", "gaming"]), "no pending videos in niche gaming\n");

        let many = "WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 199) \
             INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche) \
             SELECT 'v' || n, 't', 'c', 'c', 'https://example.com', 'a' || n FROM n";
        t.db().write(|c| crate::make::execute(c, many)).unwrap();
        let text = run(&["videos", "pending", "a"]);
        assert!(text.contains("known niches: a100, a101, ") && text.contains("a119 and ") && text.ends_with(" more\n"), "{text}");
    }
}

both! {
    /// If the terminal is too narrow for a table, each row is printed as a block of lines, and no word is broken. The tool
    /// `script` gives the command a terminal.
    fn narrow_terminal_never_breaks_words(t) {
        t.ok(&["init", "--sample"]);
        let on = |columns: u32, args: &str| {
            let shown = format!("stty cols {columns} rows 24; {} {args}", env!("CARGO_BIN_EXE_viraldb"));
            let mut command = std::process::Command::new("script");
            command.args(["-qec", &shown, "/dev/null"]).current_dir(t.dir.path()).env("DATABASE_URL", &t.url);
            let done = command.stdin(std::process::Stdio::null()).output().unwrap();
            assert!(done.status.success(), "{done:?}");
            String::from_utf8(done.stdout).unwrap().replace('\r', "")
        };
        let wide = on(200, "videos list --limit 2");
        assert!(wide.starts_with(" id") || wide.starts_with("id"), "{wide}");
        assert_eq!(wide.lines().count(), 3, "{wide}");
        let narrow = on(40, "videos list --limit 2");
        let blocks: Vec<&str> = narrow.split("\n\n").collect();
        assert_eq!(blocks.len(), 2, "{narrow}");
        let names = |block: &str| block.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect::<Vec<_>>();
        let header: Vec<String> = wide.lines().next().unwrap().split_whitespace().map(str::to_owned).collect();
        for block in blocks {
            assert_eq!(names(block), header, "{narrow}");
        }
        for (word, row) in wide.lines().skip(1).flat_map(str::split_whitespace).zip(0..) {
            assert!(narrow.contains(word), "word {row} of the wide table is broken: {word} in {narrow}");
        }
        // A terminal that is wide enough for the words still gets a table.
        assert!(on(60, "jobs stats").lines().count() < 3);
    }
}
