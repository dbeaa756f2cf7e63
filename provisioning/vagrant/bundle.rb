# frozen_string_literal: true

require "fileutils"
require "rubygems/package"

module CrudMaster
  # Packs only the files that a machine needs into one archive, since Vagrant's upload of a directory
  # takes everything in it, with a command for each file. Returns the archive's path.
  def self.bundle(root, machine, topology)
    path = File.join(root, ".vagrant", "upload", "#{machine.name}.tar")
    FileUtils.mkdir_p(File.dirname(path))
    # first under a unique name: an upload may be reading the old archive, or another Vagrant writing it
    new = "#{path}.#{Process.pid}"
    File.binwrite(new, archive(contents(root, machine).merge(Topology::FILE => topology.yaml)))
    File.rename(new, path)
    path
  end

  # name => content
  def self.contents(root, machine)
    files(root, machine).to_h { |name| [name, File.binread(File.join(root, name))] }
  end

  def self.files(root, machine)
    found = Dir.glob("{chassis,#{machine.role},provisioning}/**/*", base: root).sort
    found = found.select { |name| File.file?(File.join(root, name)) }
    found = found.reject { |name| name.match?(%r{/__pycache__/|\.pyc\z|\.tmp\z}) }
    found + ["requirements.lock", *machine.documents]
  end

  def self.archive(contents)
    memory = StringIO.new(String.new(encoding: Encoding::BINARY))
    Gem::Package::TarWriter.new(memory) do |tar|
      contents.each do |name, content|
        tar.add_file_simple(name, 0o644, content.bytesize) { |entry| entry.write(content) }
      end
    end
    memory.string
  end
  private_class_method :contents, :files, :archive
end
