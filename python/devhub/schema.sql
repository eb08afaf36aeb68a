-- Tables of the development hub (SQLite). Names follow Koji's own where they mean the same.
-- Declared types with a meaning for database.py: BOOLEAN (bool), EPOCH (seconds; read as Koji's time text), JSON (decoded).
-- A "versioned" table has create_event and revoke_event; a row holds from the one to the other (null: still);
-- creator_id and revoker_id say who did it.

CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time EPOCH NOT NULL);

CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT, status INTEGER NOT NULL DEFAULT 0,
  usertype INTEGER NOT NULL DEFAULT 0, krb_principal TEXT UNIQUE);
CREATE TABLE permissions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT);
CREATE TABLE user_perms (user_id INTEGER NOT NULL, perm_id INTEGER NOT NULL, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);

CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL, key TEXT NOT NULL, authtype INTEGER,
  callnum INTEGER, start_time EPOCH NOT NULL, update_time EPOCH NOT NULL, renew_time EPOCH, exclusive BOOLEAN NOT NULL DEFAULT 0,
  expired BOOLEAN NOT NULL DEFAULT 0, closed BOOLEAN NOT NULL DEFAULT 0, master INTEGER);
CREATE INDEX sessions_user ON sessions (user_id, closed, exclusive);

CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT, enabled BOOLEAN NOT NULL DEFAULT 1,
  comment TEXT);
CREATE TABLE host (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, update_time EPOCH,
  task_load REAL NOT NULL DEFAULT 0.0, ready BOOLEAN NOT NULL DEFAULT 0, data JSON);
CREATE TABLE host_config (host_id INTEGER NOT NULL, arches TEXT, capacity REAL NOT NULL DEFAULT 2.0, description TEXT,
  comment TEXT, enabled BOOLEAN NOT NULL DEFAULT 1, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE TABLE host_channels (host_id INTEGER NOT NULL, channel_id INTEGER NOT NULL, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);

CREATE TABLE task (id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL, create_time EPOCH NOT NULL, start_time EPOCH,
  completion_time EPOCH, channel_id INTEGER NOT NULL, host_id INTEGER, parent INTEGER, label TEXT, waiting BOOLEAN,
  awaited BOOLEAN, owner INTEGER, method TEXT NOT NULL, request TEXT NOT NULL, result TEXT, arch TEXT, priority INTEGER,
  weight REAL NOT NULL DEFAULT 1.0, assign_time REAL, UNIQUE (parent, label));
CREATE INDEX task_by_state ON task (state, host_id);
CREATE INDEX task_by_parent ON task (parent);
CREATE TABLE task_refusals (task_id INTEGER NOT NULL, host_id INTEGER NOT NULL, soft BOOLEAN NOT NULL, by_host BOOLEAN NOT NULL,
  msg TEXT, time REAL NOT NULL, PRIMARY KEY (task_id, host_id));
CREATE TABLE scheduler_log (id INTEGER PRIMARY KEY, task_id INTEGER, host_id INTEGER, msg TEXT NOT NULL, msg_time EPOCH NOT NULL);

CREATE TABLE package (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE volume (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE content_generator (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE cg_users (cg_id INTEGER NOT NULL, user_id INTEGER NOT NULL, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);

CREATE TABLE build (id INTEGER PRIMARY KEY AUTOINCREMENT, volume_id INTEGER NOT NULL DEFAULT 0, pkg_id INTEGER NOT NULL,
  version TEXT NOT NULL, release TEXT NOT NULL, epoch INTEGER, source TEXT, create_event INTEGER NOT NULL, start_time EPOCH,
  completion_time EPOCH, state INTEGER NOT NULL, task_id INTEGER, owner INTEGER NOT NULL, cg_id INTEGER, extra JSON,
  UNIQUE (pkg_id, version, release));
CREATE INDEX build_by_task ON build (task_id);
CREATE TABLE build_reservations (build_id INTEGER PRIMARY KEY, token TEXT NOT NULL);
CREATE TABLE btype (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE build_types (build_id INTEGER NOT NULL, btype_id INTEGER NOT NULL, PRIMARY KEY (build_id, btype_id));
CREATE TABLE image_builds (build_id INTEGER PRIMARY KEY);

CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE tag_config (tag_id INTEGER NOT NULL, perm_id INTEGER, arches TEXT, locked BOOLEAN NOT NULL DEFAULT 0,
  maven_support BOOLEAN NOT NULL DEFAULT 0, maven_include_all BOOLEAN NOT NULL DEFAULT 0, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE TABLE tag_extra (tag_id INTEGER NOT NULL, key TEXT NOT NULL, value JSON, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE TABLE tag_inheritance (tag_id INTEGER NOT NULL, parent_id INTEGER NOT NULL, priority INTEGER NOT NULL, maxdepth INTEGER,
  intransitive BOOLEAN NOT NULL DEFAULT 0, noconfig BOOLEAN NOT NULL DEFAULT 0, pkg_filter TEXT, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE TABLE tag_packages (tag_id INTEGER NOT NULL, package_id INTEGER NOT NULL, blocked BOOLEAN NOT NULL DEFAULT 0,
  extra_arches TEXT, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE INDEX tag_packages_by_tag ON tag_packages (tag_id, package_id);
CREATE TABLE tag_package_owners (tag_id INTEGER NOT NULL, package_id INTEGER NOT NULL, owner INTEGER NOT NULL,
  create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE INDEX tag_package_owners_by_tag ON tag_package_owners (tag_id, package_id);
CREATE TABLE tag_listing (tag_id INTEGER NOT NULL, build_id INTEGER NOT NULL, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE INDEX tag_listing_by_tag ON tag_listing (tag_id);
CREATE INDEX tag_listing_by_build ON tag_listing (build_id);

CREATE TABLE build_target (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE build_target_config (build_target_id INTEGER NOT NULL, build_tag INTEGER NOT NULL, dest_tag INTEGER NOT NULL,
  create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE TABLE external_repo (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE external_repo_config (external_repo_id INTEGER NOT NULL, url TEXT NOT NULL, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);
CREATE TABLE tag_external_repos (tag_id INTEGER NOT NULL, external_repo_id INTEGER NOT NULL, priority INTEGER NOT NULL,
  merge_mode TEXT NOT NULL DEFAULT 'koji', arches TEXT, create_event INTEGER NOT NULL,
  revoke_event INTEGER, creator_id INTEGER, revoker_id INTEGER);

CREATE TABLE repo (id INTEGER PRIMARY KEY AUTOINCREMENT, tag_id INTEGER NOT NULL, create_event INTEGER NOT NULL,
  creation_time EPOCH NOT NULL, state_time EPOCH NOT NULL, state INTEGER NOT NULL, dist BOOLEAN NOT NULL DEFAULT 0,
  opts JSON, custom_opts JSON, task_id INTEGER);
CREATE TABLE repo_queue (id INTEGER PRIMARY KEY AUTOINCREMENT, create_time EPOCH NOT NULL, update_time EPOCH NOT NULL,
  owner INTEGER NOT NULL, priority INTEGER NOT NULL, tag_id INTEGER NOT NULL, at_event INTEGER, min_event INTEGER, opts JSON,
  tries INTEGER NOT NULL DEFAULT 0, active BOOLEAN NOT NULL DEFAULT 1, repo_id INTEGER, task_id INTEGER);

CREATE TABLE buildroot (id INTEGER PRIMARY KEY AUTOINCREMENT, br_type INTEGER NOT NULL, cg_id INTEGER, cg_version TEXT,
  container_type TEXT, container_arch TEXT, host_os TEXT, host_arch TEXT, extra JSON);
CREATE TABLE buildroot_listing (buildroot_id INTEGER NOT NULL, rpm_id INTEGER NOT NULL, is_update BOOLEAN NOT NULL DEFAULT 0,
  PRIMARY KEY (buildroot_id, rpm_id));
CREATE TABLE buildroot_archives (buildroot_id INTEGER NOT NULL, archive_id INTEGER NOT NULL,
  PRIMARY KEY (buildroot_id, archive_id));
CREATE TABLE buildroot_tools_info (buildroot_id INTEGER NOT NULL, tool TEXT NOT NULL, version TEXT NOT NULL,
  PRIMARY KEY (buildroot_id, tool));

CREATE TABLE rpminfo (id INTEGER PRIMARY KEY AUTOINCREMENT, build_id INTEGER, buildroot_id INTEGER, name TEXT NOT NULL,
  version TEXT NOT NULL, release TEXT NOT NULL, epoch INTEGER, arch TEXT NOT NULL, draft BOOLEAN NOT NULL DEFAULT 0,
  external_repo_id INTEGER NOT NULL DEFAULT 0, payloadhash TEXT NOT NULL, size INTEGER NOT NULL, buildtime INTEGER NOT NULL,
  metadata_only BOOLEAN NOT NULL DEFAULT 0, extra JSON, UNIQUE (name, version, release, arch, external_repo_id));
CREATE INDEX rpminfo_by_build ON rpminfo (build_id);
CREATE TABLE rpmsigs (rpm_id INTEGER NOT NULL, sigkey TEXT NOT NULL, sighash TEXT NOT NULL, PRIMARY KEY (rpm_id, sigkey));
CREATE TABLE archivetypes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, extensions TEXT NOT NULL,
  compression_type TEXT);
CREATE TABLE archiveinfo (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INTEGER NOT NULL, btype_id INTEGER NOT NULL,
  build_id INTEGER NOT NULL, buildroot_id INTEGER, filename TEXT NOT NULL, size INTEGER NOT NULL, checksum TEXT NOT NULL,
  checksum_type INTEGER NOT NULL, metadata_only BOOLEAN NOT NULL DEFAULT 0, extra JSON);
CREATE INDEX archiveinfo_by_build ON archiveinfo (build_id);
CREATE TABLE image_archives (archive_id INTEGER PRIMARY KEY, arch TEXT NOT NULL);
CREATE TABLE archive_rpm_components (archive_id INTEGER NOT NULL, rpm_id INTEGER NOT NULL, PRIMARY KEY (archive_id, rpm_id));
CREATE TABLE archive_components (archive_id INTEGER NOT NULL, component_id INTEGER NOT NULL,
  PRIMARY KEY (archive_id, component_id));

INSERT INTO volume (id, name) VALUES (0, 'DEFAULT');
INSERT INTO permissions (name, description) VALUES ('admin', 'Full administrator access'), ('appliance', 'appliance tasks'),
  ('build', ''), ('dist-repo', 'dist-repo access'), ('draft-promoter', 'promote draft builds'), ('host', 'manage hosts'),
  ('image', 'image tasks'), ('image-import', 'import image archives'), ('livecd', 'livecd tasks'),
  ('maven-import', 'import maven archives'), ('repo', 'newRepo tasks'), ('sign', 'sign RPMs'), ('tag', 'manage packages in tags'),
  ('target', 'manage targets'), ('win-admin', ''), ('win-import', 'import win archives');
INSERT INTO channels (name) VALUES ('default'), ('createrepo'), ('maven'), ('livecd'), ('appliance'), ('vm'), ('image'),
  ('livemedia');
INSERT INTO btype (name) VALUES ('rpm'), ('maven'), ('win'), ('image');
INSERT INTO archivetypes (name, description, extensions) VALUES ('jar', 'Jar file', 'jar war rar ear sar jdocbook jdocbook-style'),
  ('zip', 'Zip file', 'zip'), ('pom', 'Maven Project Object Management file', 'pom'), ('tar', 'Tar file', 'tar tar.gz tar.bz2 tar.xz tgz'),
  ('xml', 'XML file', 'xml'), ('xsd', 'XML Schema Definition', 'xsd'), ('spec', 'RPM spec file', 'spec'),
  ('exe', 'Windows executable', 'exe'), ('dll', 'Windows dynamic link library', 'dll'), ('iso', 'CD/DVD Image', 'iso'),
  ('raw', 'Raw disk image', 'raw'), ('qcow2', 'QCOW2 image', 'qcow2'), ('ks', 'Kickstart', 'ks'),
  ('cfg', 'Configuration file', 'cfg'), ('txt', 'Text file', 'txt'), ('json', 'JSON data', 'json'),
  ('yaml', 'YAML Ain''t Markup Language', 'yaml yml'), ('img', 'img files', 'img'), ('raw-xz', 'xz compressed raw disk image', 'raw.xz'),
  ('vhd', 'Virtual Hard Disk', 'vhd'), ('checksum', 'Checksum file', 'checksum'), ('sha256sum', 'sha256 checksum file', 'sha256sum');
