use super::*;

fn layout(text: &str, map: &[(&str, &str)]) -> Result<Layout, String> {
    let map: Vec<_> = map.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let header = Header::of("in", text.as_bytes()).unwrap();
    let at = "2026-05-10".parse().unwrap();
    Layout::of("in", text.as_bytes(), header, &map, at).map_err(|error| error.to_string())
}

fn rows(text: &str, map: &[(&str, &str)]) -> Vec<Result<NewAnalytics<'static>, String>> {
    let layout = layout(text, map).unwrap();
    let mut rows = Vec::new();
    read("in", &mut text.as_bytes(), &layout, &mut |row| {
        rows.push(row.found.map(|found| found.snapshot.unwrap()));
        Ok(())
    })
    .unwrap();
    rows
}

#[test]
fn totals_row_is_skipped_and_other_rows_are_read() {
    let text = include_str!("../../../tests/data/ingest/studio_table.csv");
    assert!(is_header(&Header::of("in", text.as_bytes()).unwrap()));
    let rows = rows(text, &[]);
    let first = rows[0].as_ref().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&*first.youtube_video_id, first.view_count), ("AbC123_-xyz", Some(8200)));
    assert_eq!(first.measured_at.unwrap().to_string(), "2026-05-10T00:00:00Z");
    assert_eq!((first.average_view_duration_seconds, first.click_through_rate), (Some(31.0), Some(0.052)));
    assert_eq!((first.subscriber_gain, first.estimated_revenue_usd), (Some(80), Some(21.3)));
    assert_eq!((first.like_count, first.comment_count), (None, None));
}

#[test]
fn headers_and_numbers_of_other_languages_are_read() {
    for (header, total, views, rate, revenue) in [
        (
            "Videos;Videotitel;Aufrufe;Durchschnittliche Wiedergabedauer;Abonnenten;Klickrate der Impressionen (%);Dein geschätzter Umsatz (USD)",
            "Gesamt",
            "8.200",
            "5,20",
            "1.234,567",
        ),
        (
            "Contenu;Titre de la vidéo;Vues;Durée moyenne d'une vue;Abonnés;Taux de clics par impression (%);Revenus estimés (USD)",
            "Total",
            "8\u{202f}200",
            "5,20 %",
            "1\u{202f}234,567",
        ),
        (
            "Contenido,Título del vídeo,Visualizaciones,Duración media de las visualizaciones,Suscriptores,Porcentaje de clics de las impresiones (%),Ingresos estimados (USD)",
            "Total",
            "8200",
            "5.20",
            "1234.567",
        ),
        (
            "Conteúdo;Título do vídeo;Visualizações;Duração média da visualização;Inscritos;Taxa de cliques de impressões (%);Sua receita estimada (USD)",
            "Total",
            "8.200",
            "5,2",
            "1234,567",
        ),
        (
            "Contenuti;Titolo del video;Visualizzazioni;Durata visualizzazione media;Iscritti;Percentuale di clic delle impressioni (%);Entrate stimate (USD)",
            "Totale",
            "8'200",
            "5,20",
            "1'234,567",
        ),
        (
            "Content;Videotitel;Weergaven;Gemiddelde weergaveduur;Abonnees;Klikfrequentie van vertoningen (%);Geschatte opbrengst (USD)",
            "Totaal",
            "8.200",
            "5,20",
            "1.234,567",
        ),
        (
            "Treści;Tytuł filmu;Wyświetlenia;Średni czas oglądania;Subskrybenci;Współczynnik klikalności wyświetleń (%);Szacunkowe przychody (USD)",
            "Łącznie",
            "8\u{a0}200",
            "5,20",
            "1\u{a0}234,567",
        ),
        (
            "Контент;Название видео;Просмотры;Средняя продолжительность просмотра;Подписчики;CTR для значков видео (%);Расчетный доход (USD)",
            "Итого",
            "8200",
            "5,20",
            "1234,567",
        ),
        (
            "Контент;Назва відео;Перегляди;Середня тривалість перегляду;Підписники;CTR показів (%);Приблизний дохід (USD)",
            "Усього",
            "8 200",
            "5,20",
            "1 234,567",
        ),
        (
            "İçerik;Video başlığı;Görüntüleme;Ortalama görüntüleme süresi;Aboneler;Gösterim tıklama oranı (%);Tahmini gelir (USD)",
            "Toplam",
            "8.200",
            "5,20",
            "1.234,567",
        ),
        (
            "コンテンツ\t動画のタイトル\t視聴回数\t平均視聴時間\tチャンネル登録者\tインプレッションのクリック率（%）\t推定収益（USD）",
            "合計",
            "8,200",
            "5.20",
            "1,234.567",
        ),
        (
            "콘텐츠\t동영상 제목\t조회수\t평균 시청 지속 시간\t구독자\t노출 클릭률 (%)\t예상 수익 (USD)",
            "합계",
            "\"8,200\"",
            "5.20",
            "1234.567",
        ),
    ] {
        let header_of = Header::of("in", header.as_bytes()).unwrap();
        assert!(is_header(&header_of), "{header}");
        let d = char::from(header_of.delimiter);
        let text = format!(
            "{header}\n{total}{d}T{d}9{d}{d}{d}{d}\nAbC123_-xyz{d}T{d}{views}{d}1:02:03{d}-1{d}{rate}{d}{revenue}\n"
        );
        let rows = rows(&text, &[]);
        assert_eq!(rows.len(), 1, "{header}");
        let row = rows[0].as_ref().unwrap();
        assert_eq!((row.view_count, row.subscriber_gain), (Some(8200), Some(-1)), "{header}");
        assert_eq!(row.average_view_duration_seconds, Some(3723.0), "{header}");
        assert_eq!(
            (row.click_through_rate, row.estimated_revenue_usd),
            (Some(0.052), Some(1234.567)),
            "{header}"
        );
    }
}

#[test]
fn chart_data_has_one_row_per_video_and_day() {
    let text = "Date,Content,Video title,Video publish time,Duration,Views\n\
                2026-05-01,AbC123_-xyz,T,\"May 1, 2026\",58,7\n2026-05-01,Total,,,,9\nsoon,AbC123_-xyz,T,,58,8\n";
    let rows = rows(text, &[]);
    assert_eq!(rows.len(), 2);
    let row = rows[0].as_ref().unwrap();
    assert_eq!(
        (row.measured_at.unwrap().to_string().as_str(), row.view_count),
        ("2026-05-01T00:00:00Z", Some(7))
    );
    assert_eq!(rows[1].as_ref().unwrap_err(), "Date is not a date: \"soon\"");
}

#[test]
fn other_currencies_are_ignored() {
    let text = |currency: &str| {
        format!("Content,Video title,Views,Estimated revenue{currency}\nAbC123_-xyz,T,1,2.5\n")
    };
    let revenue =
        |text: &str, map: &[(&str, &str)]| rows(text, map)[0].as_ref().unwrap().estimated_revenue_usd;
    for (currency, found) in [(" (USD)", Some(2.5)), (" (US$)", Some(2.5)), ("", Some(2.5)), (" (EUR)", None)]
    {
        assert_eq!(revenue(&text(currency), &[]), found, "{currency}");
    }
    let map = [("estimated_revenue_usd", "Estimated revenue (EUR)")];
    assert_eq!(revenue(&text(" (EUR)"), &map), Some(2.5));
}

#[test]
fn errors_name_the_bad_field() {
    let text = "Content,Video title,Views,Subscribers,Average view duration,Impressions click-through rate (%)\n\
                AbC123_-xyz,T,x,,,\nAbC123_-xyz,T,-1,,,\nAbC123_-xyz,T,,3000000000,,\nAbC123_-xyz,T,,,long,\n\
                AbC123_-xyz,T,,,,101\n,T,1,,,\nAbC123_-xyz,,1,—,-,\nNotAnId,,1,1,1,1\n";
    let said: Vec<_> = rows(text, &[]).into_iter().map(|row| row.err().unwrap_or_default()).collect();
    assert_eq!(
        said,
        [
            "Views is not a count: \"x\"",
            "Views is not a count: \"-1\"",
            "Subscribers is not a whole number: \"3000000000\"",
            "Average view duration is not a duration: \"long\"",
            "Impressions click-through rate (%) is not a percentage from 0 to 100: \"101\"",
            "has no video id",
            "",
        ]
    );
}

#[test]
fn files_without_videos_are_refused() {
    assert!(is_totals("\u{feff}Date,Views\n2026-05-01,7\n".as_bytes()));
    assert!(is_totals("日付,視聴回数\n2026-05-01,7\n".as_bytes()));
    assert!(
        !is_totals(b"Date,Views,Weather\n") && !is_totals(b"Date,Content,Views\n") && !is_totals(b"a,b\n")
    );
    assert!(layout("Date,Views\n", &[]).err().unwrap().contains("channel totals"));
    assert!(layout("Geography,Views\n", &[]).err().unwrap().contains("has no column Content"));
    assert!(
        layout("Content,Video title\n", &[])
            .err()
            .unwrap()
            .contains("has none of YouTube Studio's number columns")
    );
    assert!(
        layout("Geography,Clicks\n", &[("youtube_video_id", "Geography"), ("view_count", "Clicks")]).is_ok()
    );
}
