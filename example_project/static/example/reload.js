// Reloads the page when the database is expected to be available again.
setTimeout(() => location.reload(), Number(document.currentScript.dataset.seconds) * 1000);
