# frozen_string_literal: true

require "fileutils"
require "rubygems/package"

module CrudMaster
  # Packs only the files that a machine needs into one archive, since Vagrant's upload of a directory
  # takes everything in it, with a command for each file. Returns the archive's path.
  def self.bundle(root, machine)
    path = File.join(root, ".vagrant", "upload", "#{machine.name}.tar")
    FileUtils.mkdir_p(File.dirname(path))
    # first under a unique name: an upload may be reading the old archive, or another Vagrant writing it
    new = "#{path}.#{Process.pid}"
    File.binwrite(new, archive(root, files(root, machine)))
    File.rename(new, path)
    path
  end

  def self.files(root, machine)
    found = Dir.glob("{chassis,#{machine.role},provisioning}/**/*", base: root).sort
    found = found.select { |name| File.file?(File.join(root, name)) }
    found = found.reject { |name| name.match?(%r{/__pycache__/|\.pyc\z|\.tmp\z}) }
    found + ["requirements.lock", "topology.yml", *machine.documents]
  end

  def self.archive(root, names)
    memory = StringIO.new(String.new(encoding: Encoding::BINARY))
    Gem::Package::TarWriter.new(memory) do |tar|
      names.each do |name|
        content = File.binread(File.join(root, name))
        tar.add_file_simple(name, 0o644, content.bytesize) { |entry| entry.write(content) }
      end
    end
    memory.string
  end
  private_class_method :files, :archive
end
