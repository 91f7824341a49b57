"""Files that a campus system leaves in a folder, here or on an SFTP server: changes, growing logs, full exports."""
