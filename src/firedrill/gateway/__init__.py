"""Wire protocols, served over a world. No simulation logic lives here."""
